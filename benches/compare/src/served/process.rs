//! The handlers on one store in a process of its own, as a server has one.

use super::handlers::router;
use super::{Embedded, Postgres, Redis, Tokens};
use crate::engines;
use axum::body::Body;
use clap::Args;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

/// Which store it is to be.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    engine: String,
    /// The directory of the store.
    dir: PathBuf,
    /// Where the server of a peer listens.
    port: u16,
}

/// Says where it listens, and serves until it is killed.
pub(crate) fn answer(asked: &Asked) {
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async {
        match asked.engine.as_str() {
            engines::STORE => serve(Embedded::open(&asked.dir)).await,
            engines::POSTGRES => serve(Postgres::connect(asked.port).await).await,
            engines::REDIS => serve(Redis::connect(asked.port).await).await,
            other => panic!("no handlers on {other}"),
        }
    });
}

async fn serve(tokens: impl Tokens) {
    let app = router(tokens);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    println!("handlers at http://{}", listener.local_addr().expect("an address"));
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let app = app.clone();
        tokio::spawn(async move {
            let mut http = http1::Builder::new();
            // Without a timer, as all of them are: a head is not waited for, but it may take long.
            http.header_read_timeout(None);
            let answer = service_fn(|request: hyper::Request<Incoming>| {
                app.clone().oneshot(request.map(Body::new))
            });
            // The generator ends its connections as it likes.
            let _ = http.serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}
