use std::sync::Mutex;
use std::sync::mpsc::{Sender as Gate, channel as gate};

use futures_util::FutureExt;

use super::*;
use crate::record::samples;

/// What was written, write by write.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<Vec<u8>>>>);

impl Page {
    fn writes(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|write| String::from_utf8(write.clone()).unwrap()).collect()
    }
}

impl Write for Page {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().push(text.to_vec());
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Asks a script before each write: fail, write half and fail, or write.
struct Scripted {
    page: Page,
    turns: Receiver<Turn>,
}

enum Turn {
    Write,
    Half(io::ErrorKind),
}

impl Write for Scripted {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match self.turns.recv() {
            Ok(Turn::Half(kind)) => {
                self.page.write_all(&text[..text.len() / 2])?;
                Err(kind.into())
            }
            Ok(Turn::Write) | Err(_) => self.page.write(text),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn refusal(n: u128) -> Line {
    samples::refusal(n).line().unwrap()
}

fn turn(n: u128) -> Line {
    samples::turn(n).line().unwrap()
}

fn scripted() -> (Lines, Page, Gate<Turn>) {
    let (turns, waiting) = gate();
    let page = Page::default();
    let lines = Lines::start("test", Box::new(Scripted { page: page.clone(), turns: waiting })).unwrap();
    (lines, page, turns)
}

#[tokio::test]
async fn a_batch_is_one_write_with_one_object_a_line() {
    let page = Page::default();
    let lines = Lines::start("test", Box::new(page.clone())).unwrap();
    lines.write(&[refusal(1), turn(2)]).await.unwrap();
    let writes = page.writes();
    assert_eq!(writes.len(), 1);
    let values: Vec<serde_json::Value> = writes[0].lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(values.len(), 2, "a line break inside an entry is escaped");
    assert_eq!((&values[0]["kind"], &values[0]["decision"]), (&"audit".into(), &"deny".into()));
    assert_eq!((&values[1]["kind"], &values[1]["outcome"]), (&"usage".into(), &"started".into()));
    assert_eq!(values[0]["_id"], "00000000-0000-0000-0000-000000000001");
    assert!(writes[0].ends_with("}\n"));
}

#[tokio::test]
async fn a_reader_that_stalls_holds_up_the_thread_alone() {
    let (lines, page, turns) = scripted();
    let (first, second) = ([refusal(1)], [refusal(2)]);
    let mut stalled = std::pin::pin!(lines.write(&first));
    // The write is under way and nobody lets it go on: giving it up must be possible, and leave the sink usable.
    assert!(stalled.as_mut().now_or_never().is_none(), "the write cannot be done yet");
    let error = lines.write(&second).await.unwrap_err();
    assert!(error.transient && error.message.contains("still being written"), "{error}");
    turns.send(Turn::Write).unwrap();
    stalled.await.unwrap();
    turns.send(Turn::Write).unwrap();
    lines.write(&second).await.unwrap();
    assert_eq!(page.writes().len(), 2);
}

#[tokio::test]
async fn what_follows_half_a_line_begins_on_a_line_of_its_own() {
    let (lines, page, turns) = scripted();
    turns.send(Turn::Half(io::ErrorKind::StorageFull)).unwrap();
    let error = lines.write(&[refusal(1)]).await.unwrap_err();
    assert!(error.transient, "a full disk may be mended: {error}");
    turns.send(Turn::Write).unwrap();
    lines.write(&[refusal(1)]).await.unwrap();
    let all = page.writes().concat();
    let whole: Vec<_> = all.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()).collect();
    assert_eq!(whole.len(), 1, "{all}");
}

#[tokio::test]
async fn a_reader_that_has_gone_is_not_waited_for() {
    let (lines, _page, turns) = scripted();
    turns.send(Turn::Half(io::ErrorKind::BrokenPipe)).unwrap();
    let error = lines.write(&[refusal(1)]).await.unwrap_err();
    assert!(!error.transient, "{error}");
    assert_eq!(error.store, "test");
}
