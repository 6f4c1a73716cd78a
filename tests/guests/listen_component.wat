;; SPDX-License-Identifier: MIT
;;
;; A component that is a program of its own (wasi:cli/run) and listens at a port that it has chosen,
;; 0.0.0.0:8080. To each visitor it says "hello from a command" once it has heard something. It traps
;; when that is an "X", and gives up with an error when it can't listen. No toolchain is needed: see
;; http_component.wat.
(component
  (import "wasi:io/error@0.2.0" (instance $error
    (export "error" (type (sub resource)))))
  (alias export $error "error" (type $error-t))

  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (alias export $poll "pollable" (type $pollable-t))

  (import "wasi:io/streams@0.2.0" (instance $streams
    (alias outer 1 $error-t (type $error-o))
    (export "error" (type $error (eq $error-o)))
    (export "input-stream" (type $input (sub resource)))
    (export "output-stream" (type $output (sub resource)))
    (type $stream-error-v (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $stream-error-v)))
    (export "[method]input-stream.blocking-read" (func
      (param "self" (borrow $input)) (param "len" u64)
      (result (result (list u8) (error $stream-error)))))
    (export "[method]output-stream.blocking-write-and-flush" (func
      (param "self" (borrow $output)) (param "contents" (list u8))
      (result (result (error $stream-error)))))))
  (alias export $streams "input-stream" (type $input-t))
  (alias export $streams "output-stream" (type $output-t))

  (import "wasi:sockets/network@0.2.0" (instance $network
    (export "network" (type (sub resource)))
    (type $code-e (enum "unknown" "access-denied" "not-supported" "invalid-argument"
      "out-of-memory" "timeout" "concurrency-conflict" "not-in-progress" "would-block"
      "invalid-state" "new-socket-limit" "address-not-bindable" "address-in-use"
      "remote-unreachable" "connection-refused" "connection-reset" "connection-aborted"
      "datagram-too-large" "name-unresolvable" "temporary-resolver-failure"
      "permanent-resolver-failure"))
    (export "error-code" (type (eq $code-e)))
    (type $family-e (enum "ipv4" "ipv6"))
    (export "ip-address-family" (type (eq $family-e)))
    (type $v4-t (tuple u8 u8 u8 u8))
    (export "ipv4-address" (type $v4 (eq $v4-t)))
    (type $v6-t (tuple u16 u16 u16 u16 u16 u16 u16 u16))
    (export "ipv6-address" (type $v6 (eq $v6-t)))
    (type $v4-r (record (field "port" u16) (field "address" $v4)))
    (export "ipv4-socket-address" (type $v4-address (eq $v4-r)))
    (type $v6-r (record
      (field "port" u16) (field "flow-info" u32) (field "address" $v6) (field "scope-id" u32)))
    (export "ipv6-socket-address" (type $v6-address (eq $v6-r)))
    (type $address-v (variant (case "ipv4" $v4-address) (case "ipv6" $v6-address)))
    (export "ip-socket-address" (type (eq $address-v)))))
  (alias export $network "network" (type $network-t))
  (alias export $network "error-code" (type $code-t))
  (alias export $network "ip-address-family" (type $family-t))
  (alias export $network "ip-socket-address" (type $address-t))

  (import "wasi:sockets/instance-network@0.2.0" (instance $instance-network
    (alias outer 1 $network-t (type $network-o))
    (export "network" (type $network (eq $network-o)))
    (export "instance-network" (func (result (own $network))))))

  (import "wasi:sockets/tcp@0.2.0" (instance $tcp
    (alias outer 1 $network-t (type $network-o))
    (export "network" (type $network (eq $network-o)))
    (alias outer 1 $code-t (type $code-o))
    (export "error-code" (type $code (eq $code-o)))
    (alias outer 1 $address-t (type $address-o))
    (export "ip-socket-address" (type $address (eq $address-o)))
    (alias outer 1 $pollable-t (type $pollable-o))
    (export "pollable" (type $pollable (eq $pollable-o)))
    (alias outer 1 $input-t (type $input-o))
    (export "input-stream" (type $input (eq $input-o)))
    (alias outer 1 $output-t (type $output-o))
    (export "output-stream" (type $output (eq $output-o)))
    (export "tcp-socket" (type $socket (sub resource)))
    (export "[method]tcp-socket.start-bind" (func
      (param "self" (borrow $socket)) (param "network" (borrow $network))
      (param "local-address" $address) (result (result (error $code)))))
    (export "[method]tcp-socket.finish-bind" (func
      (param "self" (borrow $socket)) (result (result (error $code)))))
    (export "[method]tcp-socket.start-listen" (func
      (param "self" (borrow $socket)) (result (result (error $code)))))
    (export "[method]tcp-socket.finish-listen" (func
      (param "self" (borrow $socket)) (result (result (error $code)))))
    (export "[method]tcp-socket.accept" (func
      (param "self" (borrow $socket))
      (result (result (tuple (own $socket) (own $input) (own $output)) (error $code)))))
    (export "[method]tcp-socket.subscribe" (func
      (param "self" (borrow $socket)) (result (own $pollable))))))
  (alias export $tcp "tcp-socket" (type $socket-t))

  (import "wasi:sockets/tcp-create-socket@0.2.0" (instance $create
    (alias outer 1 $code-t (type $code-o))
    (export "error-code" (type $code (eq $code-o)))
    (alias outer 1 $family-t (type $family-o))
    (export "ip-address-family" (type $family (eq $family-o)))
    (alias outer 1 $socket-t (type $socket-o))
    (export "tcp-socket" (type $socket (eq $socket-o)))
    (export "create-tcp-socket" (func
      (param "address-family" $family) (result (result (own $socket) (error $code)))))))

  ;; The memory stands apart: the functions that use it are made before the program is.
  (core module $memory-m
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096)))
  (core instance $memory (instantiate $memory-m))
  (alias core export $memory "memory" (core memory $mem))
  (alias core export $memory "realloc" (core func $realloc))

  (core func $instance-network (canon lower (func $instance-network "instance-network")))
  (core func $create (canon lower (func $create "create-tcp-socket") (memory $mem)))
  (core func $start-bind (canon lower (func $tcp "[method]tcp-socket.start-bind") (memory $mem)))
  (core func $finish-bind (canon lower (func $tcp "[method]tcp-socket.finish-bind") (memory $mem)))
  (core func $start-listen (canon lower
    (func $tcp "[method]tcp-socket.start-listen") (memory $mem)))
  (core func $finish-listen (canon lower
    (func $tcp "[method]tcp-socket.finish-listen") (memory $mem)))
  (core func $accept (canon lower (func $tcp "[method]tcp-socket.accept") (memory $mem)))
  (core func $subscribe (canon lower (func $tcp "[method]tcp-socket.subscribe")))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $read (canon lower
    (func $streams "[method]input-stream.blocking-read") (memory $mem) (realloc $realloc)))
  (core func $write (canon lower
    (func $streams "[method]output-stream.blocking-write-and-flush") (memory $mem)))
  (core func $drop-pollable (canon resource.drop $pollable-t))
  (core func $drop-input (canon resource.drop $input-t))
  (core func $drop-output (canon resource.drop $output-t))
  (core func $drop-socket (canon resource.drop $socket-t))

  (core module $program-m
    (import "wasi" "memory" (memory 1))
    (import "wasi" "instance-network" (func $instance-network (result i32)))
    (import "wasi" "create" (func $create (param i32 i32)))
    (import "wasi" "start-bind" (func $start-bind
      (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
    (import "wasi" "finish-bind" (func $finish-bind (param i32 i32)))
    (import "wasi" "start-listen" (func $start-listen (param i32 i32)))
    (import "wasi" "finish-listen" (func $finish-listen (param i32 i32)))
    (import "wasi" "accept" (func $accept (param i32 i32)))
    (import "wasi" "subscribe" (func $subscribe (param i32) (result i32)))
    (import "wasi" "block" (func $block (param i32)))
    (import "wasi" "read" (func $read (param i32 i64 i32)))
    (import "wasi" "write" (func $write (param i32 i32 i32 i32)))
    (import "wasi" "drop-pollable" (func $drop-pollable (param i32)))
    (import "wasi" "drop-input" (func $drop-input (param i32)))
    (import "wasi" "drop-output" (func $drop-output (param i32)))
    (import "wasi" "drop-socket" (func $drop-socket (param i32)))
    (data (i32.const 1024) "HTTP/1.0 200 OK\0d\0a\0d\0ahello from a command\n")
    ;; Results are written to address 8: whether it is an error, and 4 bytes on what it is.
    (func $failed (result i32) (i32.load8_u (i32.const 8)))
    (func $serve (param $in i32) (param $out i32)
      (call $read (local.get $in) (i64.const 8192) (i32.const 8))
      (if (call $failed) (then (return)))
      (if (i32.eq (i32.load8_u (i32.load (i32.const 12))) (i32.const 0x58)) (then unreachable))
      (call $write (local.get $out) (i32.const 1024) (i32.const 40) (i32.const 8)))
    (func $open (result i32) (local $s i32)
      (call $create (i32.const 0) (i32.const 8))
      (if (call $failed) (then (return (i32.const -1))))
      (local.set $s (i32.load (i32.const 12)))
      ;; ipv4: the port and four bytes, then what only ipv6 has.
      (call $start-bind (local.get $s) (call $instance-network) (i32.const 0) (i32.const 8080)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 8))
      (if (call $failed) (then (return (i32.const -1))))
      (call $finish-bind (local.get $s) (i32.const 8))
      (if (call $failed) (then (return (i32.const -1))))
      (call $start-listen (local.get $s) (i32.const 8))
      (if (call $failed) (then (return (i32.const -1))))
      (call $finish-listen (local.get $s) (i32.const 8))
      (select (i32.const -1) (local.get $s) (call $failed)))
    (func (export "run") (result i32) (local $listener i32) (local $pollable i32)
      (local $in i32) (local $out i32) (local $socket i32)
      (if (i32.lt_s (local.tee $listener (call $open)) (i32.const 0)) (then (return (i32.const 1))))
      (local.set $pollable (call $subscribe (local.get $listener)))
      (loop $next
        (call $block (local.get $pollable))
        (call $accept (local.get $listener) (i32.const 8))
        (br_if $next (call $failed))
        (local.set $socket (i32.load (i32.const 12)))
        (local.set $in (i32.load (i32.const 16)))
        (local.set $out (i32.load (i32.const 20)))
        (call $serve (local.get $in) (local.get $out))
        (call $drop-input (local.get $in))
        (call $drop-output (local.get $out))
        (call $drop-socket (local.get $socket))
        (br $next))
      unreachable))
  (core instance $program (instantiate $program-m (with "wasi" (instance
    (export "memory" (memory $mem)) (export "instance-network" (func $instance-network))
    (export "create" (func $create)) (export "start-bind" (func $start-bind))
    (export "finish-bind" (func $finish-bind)) (export "start-listen" (func $start-listen))
    (export "finish-listen" (func $finish-listen)) (export "accept" (func $accept))
    (export "subscribe" (func $subscribe)) (export "block" (func $block))
    (export "read" (func $read)) (export "write" (func $write))
    (export "drop-pollable" (func $drop-pollable)) (export "drop-input" (func $drop-input))
    (export "drop-output" (func $drop-output)) (export "drop-socket" (func $drop-socket))))))

  (func $run (result (result)) (canon lift (core func $program "run")))
  (instance $cli (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $cli)))
