;; SPDX-License-Identifier: MIT
;;
;; A component that answers each request with a few words, made without any toolchain: what
;; wasi:http/incoming-handler needs of WASI 0.2, the canonical ABI by hand.
;;
;; The first letter of the path says how: /c computes for ever, /w waits for ever, /l waits for a
;; second before it answers, /s says its words five times with half a second between them, /t says
;; them and traps; the others are answered at once.
(component
  (import "wasi:io/error@0.2.0" (instance $error
    (export "error" (type (sub resource)))))
  (alias export $error "error" (type $error-t))

  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (alias export $poll "pollable" (type $pollable-t))

  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable-t (type $pollable-o))
    (export "pollable" (type $pollable (eq $pollable-o)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))

  (import "wasi:io/streams@0.2.0" (instance $streams
    (alias outer 1 $error-t (type $error-o))
    (export "error" (type $error (eq $error-o)))
    (export "output-stream" (type $output (sub resource)))
    (type $stream-error-v (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $stream-error-v)))
    (export "[method]output-stream.blocking-write-and-flush" (func
      (param "self" (borrow $output)) (param "contents" (list u8))
      (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $output-t))

  (import "wasi:http/types@0.2.0" (instance $http
    (alias outer 1 $output-t (type $output-o))
    (export "output-stream" (type $output (eq $output-o)))
    (export "fields" (type $fields (sub resource)))
    (export "incoming-request" (type $request (sub resource)))
    (export "response-outparam" (type $outparam (sub resource)))
    (export "outgoing-response" (type $response (sub resource)))
    (export "outgoing-body" (type $body (sub resource)))
    (type $dns-r (record (field "rcode" (option string)) (field "info-code" (option u16))))
    (export "DNS-error-payload" (type $dns (eq $dns-r)))
    (type $tls-r (record (field "alert-id" (option u8)) (field "alert-message" (option string))))
    (export "TLS-alert-received-payload" (type $tls (eq $tls-r)))
    (type $size-r (record (field "field-name" (option string)) (field "field-size" (option u32))))
    (export "field-size-payload" (type $size (eq $size-r)))
    (type $code-v (variant
      (case "DNS-timeout") (case "DNS-error" $dns)
      (case "destination-not-found") (case "destination-unavailable")
      (case "destination-IP-prohibited") (case "destination-IP-unroutable")
      (case "connection-refused") (case "connection-terminated") (case "connection-timeout")
      (case "connection-read-timeout") (case "connection-write-timeout")
      (case "connection-limit-reached")
      (case "TLS-protocol-error") (case "TLS-certificate-error") (case "TLS-alert-received" $tls)
      (case "HTTP-request-denied") (case "HTTP-request-length-required")
      (case "HTTP-request-body-size" (option u64)) (case "HTTP-request-method-invalid")
      (case "HTTP-request-URI-invalid") (case "HTTP-request-URI-too-long")
      (case "HTTP-request-header-section-size" (option u32))
      (case "HTTP-request-header-size" (option $size))
      (case "HTTP-request-trailer-section-size" (option u32))
      (case "HTTP-request-trailer-size" $size)
      (case "HTTP-response-incomplete")
      (case "HTTP-response-header-section-size" (option u32))
      (case "HTTP-response-header-size" $size) (case "HTTP-response-body-size" (option u64))
      (case "HTTP-response-trailer-section-size" (option u32))
      (case "HTTP-response-trailer-size" $size)
      (case "HTTP-response-transfer-coding" (option string))
      (case "HTTP-response-content-coding" (option string))
      (case "HTTP-response-timeout") (case "HTTP-upgrade-failed") (case "HTTP-protocol-error")
      (case "loop-detected") (case "configuration-error") (case "internal-error" (option string))))
    (export "error-code" (type $code (eq $code-v)))
    (export "[constructor]fields" (func (result (own $fields))))
    (export "[method]incoming-request.path-with-query" (func
      (param "self" (borrow $request)) (result (option string))))
    (export "[constructor]outgoing-response" (func
      (param "headers" (own $fields)) (result (own $response))))
    (export "[method]outgoing-response.body" (func
      (param "self" (borrow $response)) (result (result (own $body)))))
    (export "[method]outgoing-body.write" (func
      (param "self" (borrow $body)) (result (result (own $output)))))
    (export "[static]outgoing-body.finish" (func
      (param "this" (own $body)) (param "trailers" (option (own $fields)))
      (result (result (error $code)))))
    (export "[static]response-outparam.set" (func
      (param "param" (own $outparam)) (param "response" (result (own $response) (error $code)))))))
  (alias export $http "incoming-request" (type $request-t))
  (alias export $http "response-outparam" (type $outparam-t))

  ;; The memory stands apart: the functions that use it are made before the program is.
  (core module $memory-m
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096)))
  (core instance $memory (instantiate $memory-m))
  (alias core export $memory "memory" (core memory $mem))
  (alias core export $memory "realloc" (core func $realloc))

  (core func $after (canon lower (func $clock "subscribe-duration")))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $drop-pollable (canon resource.drop $pollable-t))
  (core func $path (canon lower (func $http "[method]incoming-request.path-with-query")
    (memory $mem) (realloc $realloc)))
  (core func $fields (canon lower (func $http "[constructor]fields")))
  (core func $response (canon lower (func $http "[constructor]outgoing-response")))
  (core func $body (canon lower (func $http "[method]outgoing-response.body") (memory $mem)))
  (core func $stream (canon lower (func $http "[method]outgoing-body.write") (memory $mem)))
  (core func $finish (canon lower (func $http "[static]outgoing-body.finish")
    (memory $mem) (realloc $realloc)))
  (core func $set (canon lower (func $http "[static]response-outparam.set") (memory $mem)))
  (core func $write (canon lower
    (func $streams "[method]output-stream.blocking-write-and-flush") (memory $mem)))
  (core func $drop-stream (canon resource.drop $output-t))
  (core func $drop-request (canon resource.drop $request-t))

  (core module $program-m
    (import "wasi" "memory" (memory 1))
    (import "wasi" "after" (func $after (param i64) (result i32)))
    (import "wasi" "block" (func $block (param i32)))
    (import "wasi" "drop-pollable" (func $drop-pollable (param i32)))
    (import "wasi" "path" (func $path (param i32 i32)))
    (import "wasi" "fields" (func $fields (result i32)))
    (import "wasi" "response" (func $response (param i32) (result i32)))
    (import "wasi" "body" (func $body (param i32 i32)))
    (import "wasi" "stream" (func $stream (param i32 i32)))
    (import "wasi" "finish" (func $finish (param i32 i32 i32 i32)))
    (import "wasi" "set" (func $set (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
    (import "wasi" "write" (func $write (param i32 i32 i32 i32)))
    (import "wasi" "drop-stream" (func $drop-stream (param i32)))
    (import "wasi" "drop-request" (func $drop-request (param i32)))
    (data (i32.const 1024) "hello from a component\n")
    (func $wait (param $ns i64) (local $p i32)
      (local.set $p (call $after (local.get $ns)))
      (call $block (local.get $p))
      (call $drop-pollable (local.get $p)))
    (func (export "handle") (param $request i32) (param $out i32)
      (local $r i32) (local $b i32) (local $s i32) (local $how i32) (local $times i32)
      ;; Results are written to address 8; the only text that comes, to 4096.
      (call $path (local.get $request) (i32.const 8))
      (local.set $how (i32.load8_u (i32.const 4097)))
      (call $drop-request (local.get $request))
      (if (i32.eq (local.get $how) (i32.const 99 (; c ;))) (then (loop $ever (br $ever))))
      (if (i32.eq (local.get $how) (i32.const 119 (; w ;))) (then (call $wait (i64.const -1))))
      (if (i32.eq (local.get $how) (i32.const 108 (; l ;))) (then (call $wait (i64.const 1000000000))))
      (local.set $r (call $response (call $fields)))
      ;; Whether it is an error, and 4 bytes on what it is.
      (call $body (local.get $r) (i32.const 8))
      (local.set $b (i32.load (i32.const 12)))
      (call $stream (local.get $b) (i32.const 8))
      (local.set $s (i32.load (i32.const 12)))
      (call $set (local.get $out) (i32.const 0) (local.get $r)
        (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
      (local.set $times (select (i32.const 5) (i32.const 1)
        (i32.eq (local.get $how) (i32.const 115 (; s ;)))))
      (loop $again
        (call $write (local.get $s) (i32.const 1024) (i32.const 23) (i32.const 8))
        (if (local.tee $times (i32.sub (local.get $times) (i32.const 1))) (then
          (call $wait (i64.const 500000000))
          (br $again))))
      (if (i32.eq (local.get $how) (i32.const 116 (; t ;))) (then (unreachable)))
      (call $drop-stream (local.get $s))
      (call $finish (local.get $b) (i32.const 0) (i32.const 0) (i32.const 8))))
  (core instance $program (instantiate $program-m (with "wasi" (instance
    (export "memory" (memory $mem)) (export "after" (func $after)) (export "block" (func $block))
    (export "drop-pollable" (func $drop-pollable)) (export "path" (func $path))
    (export "fields" (func $fields))
    (export "response" (func $response)) (export "body" (func $body))
    (export "stream" (func $stream)) (export "finish" (func $finish)) (export "set" (func $set))
    (export "write" (func $write)) (export "drop-stream" (func $drop-stream))
    (export "drop-request" (func $drop-request))))))

  (func $handle (param "request" (own $request-t)) (param "response-out" (own $outparam-t))
    (canon lift (core func $program "handle")))
  (instance $handler (export "handle" (func $handle)))
  (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))
