// SPDX-License-Identifier: MIT

// A server on std's TcpListener: accept blocks, as Rust programs expect, and each connection gets the
// bytes back that it sent until its end.
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::wasi::io::FromRawFd;

fn main() {
    let listener = unsafe { TcpListener::from_raw_fd(3) };
    for stream in listener.incoming() {
        let mut stream = stream.expect("accept");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("read");
        stream.write_all(b"rust ").expect("write");
        stream.write_all(&bytes).expect("write");
    }
}
