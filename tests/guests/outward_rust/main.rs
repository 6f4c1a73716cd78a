// SPDX-License-Identifier: MIT

// Reaches out with std's sockets, as a component does by wasi:sockets, and tells its visitor how it went;
// the wishes are those of outward.c. What fails is told by the call's name and the kind of the error.
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

fn converse(stream: &mut TcpStream) -> Result<String, String> {
    let mut answer = [0; 100];
    stream.write_all(b"hello from inside\n").map_err(|e| told("send", e))?;
    let n = stream.read(&mut answer).map_err(|e| told("recv", e))?;
    Ok(String::from_utf8_lossy(&answer[..n]).into_owned())
}

fn told(what: &str, error: io::Error) -> String {
    format!("{what} {:?}", error.kind())
}

fn open_to(rest: &str) -> Result<TcpStream, String> {
    let (host, port) = rest.split_once('/').ok_or("no port")?;
    let port: u16 = port.parse().map_err(|_| "no port")?;
    let addrs: Vec<_> = (host, port).to_socket_addrs().map_err(|e| told("lookup", e))?.collect();
    let stream = TcpStream::connect(&addrs[..]).map_err(|e| told("connect", e))?;
    let peer = stream.peer_addr().map_err(|e| told("peer", e))?;
    if !addrs.contains(&peer) {
        return Err(format!("its peer is {peer}, of {addrs:?}"));
    }
    Ok(stream)
}

fn connect(rest: &str) -> Result<String, String> {
    converse(&mut open_to(rest)?)
}

fn hold(rest: &str) -> Result<String, String> {
    let _stream = open_to(rest)?;
    println!("held");
    io::copy(&mut io::stdin(), &mut io::sink()).map_err(|e| told("stdin", e))?;
    Ok("let go".into())
}

fn send(rest: &str) -> Result<String, String> {
    let (to, size) = rest.rsplit_once('/').ok_or("no size")?;
    let mut stream = open_to(to)?;
    stream.write_all(&vec![0; size.parse().map_err(|_| "no size")?]).map_err(|e| told("send", e))?;
    Ok("sent".into())
}

fn bind(rest: &str) -> Result<String, String> {
    let port: u16 = rest.parse().map_err(|_| "no port")?;
    let listener = TcpListener::bind(("0.0.0.0", port)).map_err(|e| told("bind", e))?;
    let own = listener.local_addr().map_err(|e| told("local", e))?;
    if own.port() != port {
        return Err(format!("its own address is {own}"));
    }
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(|e| told("connect", e))?;
    let (mut other, _) = listener.accept().map_err(|e| told("accept", e))?;
    other.write_all(b"its own").map_err(|e| told("write", e))?;
    converse(&mut stream)
}

fn udp() -> Result<String, String> {
    UdpSocket::bind("0.0.0.0:0").map_err(|e| told("open", e))?;
    Ok("opened".into())
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? > 0 {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    let said = grant(head.split(' ').nth(1).unwrap_or("/"));
    let length = said.len();
    write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{said}")
}

fn grant(path: &str) -> String {
    let said = match path.trim_start_matches('/').split_once('/').unwrap_or((&path[1..], "")) {
        ("connect", rest) => connect(rest),
        ("bind", rest) => bind(rest),
        ("udp", _) => udp(),
        ("hold", rest) => hold(rest),
        ("send", rest) => send(rest),
        ("exit", code) => std::process::exit(code.parse().unwrap_or(255)),
        _ => Err("no such wish".into()),
    };
    said.unwrap_or_else(|error| error)
}

fn main() {
    let wishes: Vec<_> = std::env::args().skip(1).collect();
    if !wishes.is_empty() {
        wishes.iter().for_each(|wish| println!("{}", grant(wish)));
        return;
    }
    let listener = TcpListener::bind("0.0.0.0:8080").expect("bind");
    for stream in listener.incoming() {
        let _ = stream.and_then(serve);
    }
}
