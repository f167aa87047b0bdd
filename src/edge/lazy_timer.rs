//! The engine's timer for client connections, which costs nothing while all goes well.
//!
//! hyper sets the deadline for the next request head anew with every answer. A timer of tokio's would be taken out of the wheel
//! and put in again each time; this one only notes the later deadline, and looks at it when the earlier one comes.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use tokio::time::{Sleep as TokioSleep, sleep_until};

/// Makes [`Lazy`] sleeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct LazyTimer;

/// A sleep whose deadline can be moved for the price of an assignment.
struct Lazy {
    deadline: Instant,
    alarm: Pin<Box<TokioSleep>>,
}

// === impl LazyTimer ===

impl Timer for LazyTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Lazy { deadline, alarm: Box::pin(sleep_until(deadline.into())) })
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<Lazy>() {
            Some(lazy) => lazy.get_mut().move_to(deadline),
            None => *sleep = self.sleep_until(deadline),
        }
    }
}

// === impl Lazy ===

impl Lazy {
    fn move_to(&mut self, deadline: Instant) {
        // An earlier deadline must ring earlier; a later one is looked at when the alarm rings.
        if deadline < self.deadline || self.alarm.is_elapsed() {
            self.alarm.as_mut().reset(deadline.into());
        }
        self.deadline = deadline;
    }
}

impl Future for Lazy {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        while this.alarm.as_mut().poll(cx).is_ready() {
            if this.alarm.deadline() >= this.deadline.into() {
                return Poll::Ready(());
            }
            this.alarm.as_mut().reset(this.deadline.into());
        }
        Poll::Pending
    }
}

impl Sleep for Lazy {}

#[cfg(test)]
mod tests {
    use super::*;

    /// When a sleep set to `first` and then moved to `then` (milliseconds) ends.
    async fn ends(first: u64, then: &[u64]) -> u64 {
        let start = tokio::time::Instant::now();
        let at = |milliseconds: u64| start.into_std() + Duration::from_millis(milliseconds);
        let mut sleep = LazyTimer.sleep_until(at(first));
        for then in then {
            LazyTimer.reset(&mut sleep, at(*then));
        }
        sleep.await;
        u64::try_from(start.elapsed().as_millis()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleep_ends_at_its_last_deadline() {
        for (first, then, wanted) in [
            (100, vec![], 100),
            (100, vec![300], 300),
            (100, vec![300, 200, 500], 500),
            (300, vec![100], 100),
            (300, vec![100, 200], 200),
            (100, vec![500, 50], 50),
        ] {
            assert_eq!(ends(first, &then).await, wanted, "{first} {then:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleep_that_has_ended_can_be_set_again() {
        let start = tokio::time::Instant::now();
        let mut sleep = LazyTimer.sleep_until(start.into_std() + Duration::from_millis(100));
        sleep.as_mut().await;
        LazyTimer.reset(&mut sleep, start.into_std() + Duration::from_millis(250));
        sleep.await;
        assert_eq!(start.elapsed().as_millis(), 250);
    }
}
