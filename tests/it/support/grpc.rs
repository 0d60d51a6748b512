//! A gRPC echo service and its client (tonic), without generated code.
//!
//! One message type with a text is all that the four kinds of calls need; the prost derive makes
//! it, so that no protoc is asked for. [`exercise`] drives all of them over one channel.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use http::uri::PathAndQuery;
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::tokio_stream::wrappers::TcpListenerStream;
use tonic::codegen::tokio_stream::{Stream, StreamExt, iter};
use tonic::codegen::{BoxFuture, Service};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

/// The message of every call.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Text {
    #[prost(string, tag = "1")]
    pub(crate) text: String,
}

fn text(text: impl Into<String>) -> Text {
    Text { text: text.into() }
}

type Texts = Pin<Box<dyn Stream<Item = Result<Text, Status>> + Send>>;

/// Starts the server, in clear text, on a thread that lives as long as the test process.
pub(crate) fn server() -> SocketAddr {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        super::h2client::runtime().block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            tonic::transport::Server::builder()
                .serve_with_incoming(Echo, TcpListenerStream::new(listener))
                .await
                .unwrap();
        });
    });
    addr
}

#[derive(Clone)]
struct Echo;

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let codec = ProstCodec::<Text, Text>::default();
            let mut grpc = tonic::server::Grpc::new(codec);
            let method = request.uri().path().rsplit('/').next().unwrap_or_default();
            Ok(match method.to_owned().as_str() {
                "Unary" => grpc.unary(Unary, request).await,
                "ClientStream" => grpc.client_streaming(ClientStream, request).await,
                "ServerStream" => grpc.server_streaming(ServerStream, request).await,
                "Bidi" => grpc.streaming(Bidi, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

struct Unary;

impl Service<Request<Text>> for Unary {
    type Response = Response<Text>;
    type Error = Status;
    type Future = BoxFuture<Response<Text>, Status>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    /// A text that begins with `fail` becomes the message of an error.
    fn call(&mut self, request: Request<Text>) -> Self::Future {
        Box::pin(async move {
            let metadata = request.metadata().get("x-echo").cloned();
            let message = request.into_inner();
            if message.text.starts_with("fail") {
                let mut status = Status::failed_precondition(message.text);
                status
                    .metadata_mut()
                    .insert("x-why", "asked".parse().unwrap());
                return Err(status);
            }
            let mut response = Response::new(message);
            if let Some(value) = metadata {
                response.metadata_mut().insert("x-echo", value);
            }
            Ok(response)
        })
    }
}

struct ClientStream;

impl Service<Request<Streaming<Text>>> for ClientStream {
    type Response = Response<Text>;
    type Error = Status;
    type Future = BoxFuture<Response<Text>, Status>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Streaming<Text>>) -> Self::Future {
        Box::pin(async move {
            let mut messages = request.into_inner();
            let mut joined = String::new();
            while let Some(message) = messages.message().await? {
                joined.push_str(&message.text);
            }
            Ok(Response::new(text(joined)))
        })
    }
}

struct ServerStream;

impl Service<Request<Text>> for ServerStream {
    type Response = Response<Texts>;
    type Error = Status;
    type Future = BoxFuture<Response<Texts>, Status>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Text>) -> Self::Future {
        let message = request.into_inner();
        let texts = (0..100).map(move |n| Ok(text(format!("{} {n}", message.text))));
        Box::pin(async { Ok(Response::new(Box::pin(iter(texts)) as Texts)) })
    }
}

struct Bidi;

impl Service<Request<Streaming<Text>>> for Bidi {
    type Response = Response<Texts>;
    type Error = Status;
    type Future = BoxFuture<Response<Texts>, Status>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Streaming<Text>>) -> Self::Future {
        let messages = request.into_inner();
        Box::pin(async { Ok(Response::new(Box::pin(messages) as Texts)) })
    }
}

/// A channel to `to` that asks for `origin` (`https://grpc.example.test`).
pub(crate) async fn channel(to: SocketAddr, origin: &str) -> Channel {
    Endpoint::from_shared(format!("http://{to}"))
        .unwrap()
        .origin(origin.parse().unwrap())
        .connect()
        .await
        .unwrap()
}

fn method(name: &str) -> PathAndQuery {
    format!("/echo.Echo/{name}").parse().unwrap()
}

fn codec() -> ProstCodec<Text, Text> {
    ProstCodec::default()
}

/// Every kind of call, an error with metadata, and a call that is answered while it is sent.
pub(crate) async fn exercise(channel: Channel) {
    let mut grpc = Grpc::new(channel);
    unary(&mut grpc).await;
    streams(&mut grpc).await;
    let mut talk = Talk::start(&mut grpc).await;
    for n in 0..50 {
        talk.say(&format!("turn {n}")).await.unwrap();
    }
    talk.end().await;
}

async fn unary(grpc: &mut Grpc<Channel>) {
    grpc.ready().await.unwrap();
    let mut request = Request::new(text("hello"));
    request
        .metadata_mut()
        .insert("x-echo", "both ways".parse().unwrap());
    let answer = grpc.unary(request, method("Unary"), codec()).await.unwrap();
    assert_eq!(answer.metadata().get("x-echo").unwrap(), "both ways");
    assert_eq!(answer.into_inner().text, "hello");

    grpc.ready().await.unwrap();
    let request = Request::new(text("fail: because"));
    let status = grpc
        .unary(request, method("Unary"), codec())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    assert_eq!(status.message(), "fail: because");
    assert_eq!(status.metadata().get("x-why").unwrap(), "asked");
}

async fn streams(grpc: &mut Grpc<Channel>) {
    grpc.ready().await.unwrap();
    let messages = iter((0..100).map(|n| text(format!("{n};"))));
    let answer = grpc
        .client_streaming(Request::new(messages), method("ClientStream"), codec())
        .await
        .unwrap();
    let joined: String = (0..100).map(|n| format!("{n};")).collect();
    assert_eq!(answer.into_inner().text, joined);

    grpc.ready().await.unwrap();
    let request = Request::new(text("n"));
    let mut answers = grpc
        .server_streaming(request, method("ServerStream"), codec())
        .await
        .unwrap()
        .into_inner();
    let mut count = 0;
    while let Some(message) = answers.next().await {
        assert_eq!(message.unwrap().text, format!("n {count}"));
        count += 1;
    }
    assert_eq!(count, 100);
}

/// A bidirectional call that stays open and is answered turn by turn.
pub(crate) struct Talk {
    says: mpsc::Sender<Text>,
    hears: Streaming<Text>,
}

impl Talk {
    pub(crate) async fn start(grpc: &mut Grpc<Channel>) -> Self {
        let (says, said) = mpsc::channel(1);
        grpc.ready().await.unwrap();
        let request = Request::new(ReceiverStream::new(said));
        let answer = grpc.streaming(request, method("Bidi"), codec());
        let hears = answer.await.unwrap().into_inner();
        Self { says, hears }
    }

    /// Says a text and hears it.
    pub(crate) async fn say(&mut self, what: &str) -> Result<(), Status> {
        let gone = || Status::aborted("the call has ended");
        self.says.send(text(what)).await.map_err(|_| gone())?;
        let heard = self.hears.message().await?.ok_or_else(gone)?;
        assert_eq!(heard.text, what);
        Ok(())
    }

    /// Ends the call; its status must be OK.
    pub(crate) async fn end(self) {
        let Self { says, mut hears } = self;
        drop(says);
        assert_eq!(hears.message().await.unwrap(), None);
        hears.trailers().await.unwrap();
    }
}
