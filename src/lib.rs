//! Tollgate: a sidecar policy proxy in front of LibreChat.

pub mod admin;
pub mod app;
pub mod cases;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod edge;
pub mod flow;
pub mod identity;
mod json_text;
pub mod librechat;
pub mod lifecycle;
pub mod meter;
pub mod metrics;
pub mod overrides;
pub mod policy;
pub mod provider;
pub mod record;
pub mod reload;
pub mod report;
pub mod store;
