// SPDX-License-Identifier: MIT

//! Answers each HTTP request with a page about it.

use std::io::Write;

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

struct Hello;

wasip2::http::proxy::export!(Hello);

impl Guest for Hello {
    fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
        let page = page(&request);
        let headers = Fields::from_list(&[
            ("content-type".into(), b"text/html; charset=utf-8".to_vec()),
            ("content-length".into(), page.len().to_string().into_bytes()),
        ])
        .expect("the headers are ours");
        let response = OutgoingResponse::new(headers);
        let body = response.body().expect("it is asked for once");

        ResponseOutparam::set(response_out, Ok(response));
        let mut stream = body.write().expect("it is asked for once");
        let written = stream.write_all(page.as_bytes()).is_ok() && stream.flush().is_ok();
        drop(stream);
        // A visitor who has gone reads no answer, and that is no error of ours.
        if written {
            let _ = OutgoingBody::finish(body, None);
        }
    }
}

fn page(request: &IncomingRequest) -> String {
    let method = method_name(request.method());
    let path = request.path_with_query().unwrap_or_else(|| "/".into());

    println!("{method} {path}");
    format!(
        "<!doctype html>\n<title>Hello from Rust</title>\n\
         <h1>Hello from Rust in WebAssembly</h1>\n\
         <p>You sent <code>{} {}</code>.</p>\n",
        escape(&method),
        escape(&path),
    )
}

fn method_name(method: Method) -> String {
    match method {
        Method::Get => "GET".into(),
        Method::Head => "HEAD".into(),
        Method::Post => "POST".into(),
        Method::Put => "PUT".into(),
        Method::Delete => "DELETE".into(),
        Method::Connect => "CONNECT".into(),
        Method::Options => "OPTIONS".into(),
        Method::Trace => "TRACE".into(),
        Method::Patch => "PATCH".into(),
        Method::Other(name) => name,
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
