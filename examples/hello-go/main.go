// SPDX-License-Identifier: MIT

// A net/http server on WASI preview 1 (GOOS=wasip1): it serves on a listening socket that it is handed as a
// descriptor, and answers each request with a page about it.
package main

import (
	"fmt"
	"html"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

var visits atomic.Int64

// The first descriptor behind the preopened folders is told by WASMHUB_LISTEN_FD; without folders it is 3.
func listen() (net.Listener, error) {
	fd := 3
	if number := os.Getenv("WASMHUB_LISTEN_FD"); number != "" {
		var err error
		if fd, err = strconv.Atoi(number); err != nil {
			return nil, err
		}
	}
	return net.FileListener(os.NewFile(uintptr(fd), "listener"))
}

func page(w http.ResponseWriter, r *http.Request) {
	fmt.Printf("%s %s\n", r.Method, r.URL.Path)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, "<!doctype html>\n<title>Hello from Go</title>\n<h1>Hello from Go in WebAssembly</h1>\n"+
		"<p>You sent <code>%s %s</code> at %s UTC, as visit %d.</p>\n",
		html.EscapeString(r.Method), html.EscapeString(r.URL.Path),
		time.Now().UTC().Format(time.DateTime), visits.Add(1))
}

func main() {
	listener, err := listen()
	if err != nil {
		log.Fatal("hello-go: ", err)
	}
	server := &http.Server{
		Handler:           http.HandlerFunc(page),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Minute,
	}
	fmt.Println("hello-go: serving")
	log.Fatal("hello-go: ", server.Serve(listener))
}
