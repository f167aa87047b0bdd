//! The body of a client's request, as the engine hands it out.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::flow::BodyFault;

/// The body of a client's request. Its errors say whether the strict gate stopped it or the client left.
pub struct Inbound(Incoming);

// === impl Inbound ===

impl From<Incoming> for Inbound {
    fn from(body: Incoming) -> Self {
        Self(body)
    }
}

impl Body for Inbound {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        Pin::new(&mut self.get_mut().0).poll_frame(cx).map_err(|error| {
            let stopped = error.source().and_then(<dyn Error>::downcast_ref::<io::Error>).and_then(io::Error::get_ref);
            match stopped.and_then(|cause| cause.downcast_ref::<BodyFault>()) {
                Some(fault) => fault.clone(),
                None => BodyFault::BrokenOff(error.to_string()),
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
