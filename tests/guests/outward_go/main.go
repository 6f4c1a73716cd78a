// SPDX-License-Identifier: MIT

// Tries to reach out with Go's sockets (GOOS=wasip1), and tells its visitor how it went: /connect/HOST/PORT.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

func connect(host, port string) string {
	_, err := net.DialTimeout("tcp", net.JoinHostPort(host, port), 5*time.Second)
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return "lookup " + dns.Err
	}
	return fmt.Sprint("connect ", err)
}

func serve(visitor net.Conn) {
	defer visitor.Close()
	line, err := bufio.NewReader(visitor).ReadString('\n')
	words := strings.FieldsFunc(line, func(c rune) bool { return c == ' ' || c == '/' })
	if err != nil || len(words) < 4 {
		return
	}
	said := connect(words[2], words[3])
	fmt.Fprintf(visitor, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(said), said)
}

func main() {
	fd, err := strconv.Atoi(os.Getenv("WASMHUB_LISTEN_FD"))
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.FileListener(os.NewFile(uintptr(fd), "listener"))
	if err != nil {
		log.Fatal(err)
	}
	for {
		visitor, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		serve(visitor)
	}
}
