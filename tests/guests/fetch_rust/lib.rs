// SPDX-License-Identifier: MIT

// Fetches by wasi:http what its visitor names, /http/HOST:PORT or /https/HOST:PORT, and tells how it went.
use std::io::{Read, Write};

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingRequest, OutgoingBody, OutgoingRequest, OutgoingResponse, ResponseOutparam, Scheme,
};

struct Fetch;

wasip2::http::proxy::export!(Fetch);

fn fetch(path: &str) -> Result<String, ErrorCode> {
    let (scheme, place) = path[1..].split_once('/').ok_or(ErrorCode::HttpRequestUriInvalid)?;
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    let request = OutgoingRequest::new(Fields::new());
    let _ = request.set_scheme(Some(&scheme));
    let _ = request.set_authority(Some(place));
    let _ = request.set_path_with_query(Some("/"));
    let future = handle(request, None)?;
    future.subscribe().block();
    let response = future.get().expect("it is ready").expect("it is asked for once")?;
    let body = response.consume().expect("it is asked for once");
    let mut text = String::new();
    let mut stream = body.stream().expect("it is asked for once");
    let _ = stream.read_to_string(&mut text);
    Ok(format!("{} {text}", response.status()))
}

impl Guest for Fetch {
    fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_else(|| "/".into());
        let said = fetch(&path).unwrap_or_else(|error| format!("failed: {error:?}"));
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("it is asked for once");

        ResponseOutparam::set(response_out, Ok(response));
        let mut stream = body.write().expect("it is asked for once");
        let written = stream.write_all(said.as_bytes()).is_ok() && stream.flush().is_ok();
        drop(stream);
        if written {
            let _ = OutgoingBody::finish(body, None);
        }
    }
}
