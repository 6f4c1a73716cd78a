;; SPDX-License-Identifier: MIT
;;
;; A component that answers each request with a few words, made without any toolchain: what
;; wasi:http/incoming-handler needs of WASI 0.2, the canonical ABI by hand.
(component
  (import "wasi:io/error@0.2.0" (instance $error
    (export "error" (type (sub resource)))))
  (alias export $error "error" (type $error-t))

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
    (export "incoming-request" (type (sub resource)))
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
    (func (export "handle") (param $request i32) (param $out i32)
      (local $r i32) (local $b i32) (local $s i32)
      (call $drop-request (local.get $request))
      (local.set $r (call $response (call $fields)))
      ;; Results are written to address 8: whether it is an error, and 4 bytes on what it is.
      (call $body (local.get $r) (i32.const 8))
      (local.set $b (i32.load (i32.const 12)))
      (call $stream (local.get $b) (i32.const 8))
      (local.set $s (i32.load (i32.const 12)))
      (call $set (local.get $out) (i32.const 0) (local.get $r)
        (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
      (call $write (local.get $s) (i32.const 1024) (i32.const 23) (i32.const 8))
      (call $drop-stream (local.get $s))
      (call $finish (local.get $b) (i32.const 0) (i32.const 0) (i32.const 8))))
  (core instance $program (instantiate $program-m (with "wasi" (instance
    (export "memory" (memory $mem)) (export "fields" (func $fields))
    (export "response" (func $response)) (export "body" (func $body))
    (export "stream" (func $stream)) (export "finish" (func $finish)) (export "set" (func $set))
    (export "write" (func $write)) (export "drop-stream" (func $drop-stream))
    (export "drop-request" (func $drop-request))))))

  (func $handle (param "request" (own $request-t)) (param "response-out" (own $outparam-t))
    (canon lift (core func $program "handle")))
  (instance $handler (export "handle" (func $handle)))
  (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))
