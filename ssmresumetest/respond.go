package ssmresumetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// A Response is an answer ordered with [Server.SetRespond]. Its Header is added
// to what AWS sends (Content-Type, Date and x-amzn-RequestId); a nil value
// removes one of these. The fields of a fault, such as [Hang], say nothing.
//
// A Status that no answer has is a mistake in the test: Fail, HTML and Raw panic,
// and a Response that was made without them is logged, with its stack, and not
// sent.
type Response struct {
	Status int // 200 to 999
	Header http.Header
	Body   []byte

	fault func(w http.ResponseWriter, r *http.Request, done <-chan struct{}, normal func() *Response)
}

// Fail returns an error answer as AWS makes them: with a "Message" for
// DoesNotExistException and InternalServerError, a "message" for the other
// modeled errors, and with a namespace too for those of the service's framework.
// An empty message is left out.
func Fail(status int, code, message string) *Response {
	checkStatus(status)
	body := map[string]string{"__type": code}
	switch code {
	case "DoesNotExistException", "InternalServerError":
		body["Message"] = message
	case "AccessDeniedException", "ThrottlingException", "ValidationException":
		body["message"] = message
	default:
		body["__type"] = "com.amazon.coral.service#" + code
		body["message"] = message
	}
	if message == "" {
		delete(body, "message")
		delete(body, "Message")
	}
	return jsonResponse(status, body)
}

// Throttle returns a ThrottlingException. Set Retry-After in its Header.
func Throttle() *Response {
	return Fail(http.StatusBadRequest, "ThrottlingException", "Rate exceeded")
}

// TimedOut returns the answer for a session that has ended: status 200 without a
// token.
func TimedOut() *Response {
	return &Response{fault: func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}, normal func() *Response) {
		resp := normal()
		var fields map[string]any
		if resp.Status == http.StatusOK && json.Unmarshal(resp.Body, &fields) == nil {
			delete(fields, "TokenValue")
			resp = jsonResponse(http.StatusOK, fields)
		}
		resp.send(w)
	}}
}

// Hang answers nothing until the client goes away or the server is closed.
func Hang() *Response {
	return &Response{fault: func(_ http.ResponseWriter, r *http.Request, done <-chan struct{}, _ func() *Response) {
		wait(r, done)
	}}
}

// HangBody sends the normal answer's header and half of its body, and then
// nothing more.
func HangBody() *Response {
	return &Response{fault: func(w http.ResponseWriter, r *http.Request, done <-chan struct{}, normal func() *Response) {
		resp := normal()
		w.Header().Set("Content-Length", strconv.Itoa(len(resp.Body)))
		w.WriteHeader(resp.Status)
		w.Write(resp.Body[:len(resp.Body)/2])
		http.NewResponseController(w).Flush()
		wait(r, done)
	}}
}

// Endless sends a body that never ends.
func Endless() *Response {
	return &Response{fault: func(w http.ResponseWriter, _ *http.Request, done <-chan struct{}, _ func() *Response) {
		io.WriteString(w, `{"SessionId":"`)
		chunk := bytes.Repeat([]byte("x"), 8<<10)
		for {
			select {
			case <-done:
				panic(http.ErrAbortHandler) // it is not whole
			default:
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}
	}}
}

// Reset ends the connection without an answer: with a reset, with HTTP/2 by
// ending the stream.
func Reset() *Response {
	return &Response{fault: func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}, _ func() *Response) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		if conn, ok := conn.(interface{ SetLinger(int) error }); ok {
			_ = conn.SetLinger(0)
		}
		conn.Close()
	}}
}

// Truncate sends the normal answer's header and the first n bytes of its body,
// and ends the connection. It panics if n is negative.
func Truncate(n int) *Response {
	if n < 0 {
		panic(fmt.Sprintf("ssmresumetest: Truncate(%d)", n))
	}
	return &Response{fault: func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}, normal func() *Response) {
		resp := normal()
		w.Header().Set("Content-Length", strconv.Itoa(len(resp.Body)))
		w.WriteHeader(resp.Status)
		w.Write(resp.Body[:min(n, len(resp.Body))])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}}
}

// Redirect returns a 307 to another URL.
func Redirect(to string) *Response {
	return Raw(http.StatusTemporaryRedirect, http.Header{"Location": {to}}, "")
}

// HTML returns a proxy's page, which has none of AWS's headers.
func HTML(status int) *Response {
	return Raw(status, http.Header{"Content-Type": {"text/html"}, "X-Amzn-Requestid": nil},
		"<html><head><title>"+http.StatusText(status)+"</title></head></html>")
}

// Raw returns an answer as it is given.
func Raw(status int, header http.Header, body string) *Response {
	checkStatus(status)
	return &Response{Status: status, Header: header, Body: []byte(body)}
}

// checkStatus panics where net/http would, which the server's client would see as
// a connection that ends.
func checkStatus(status int) {
	if status < 200 || status > 999 {
		panic(fmt.Sprintf("ssmresumetest: a Response with Status %d; an answer has 200 to 999", status))
	}
}

func jsonResponse(status int, v any) *Response {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // only maps and structs of strings are encoded
	}
	return &Response{Status: status, Header: http.Header{}, Body: bytes.TrimSuffix(buf.Bytes(), []byte("\n"))}
}

// write answers with the fault or with the fields. normal makes the answer that
// there would be without the fault.
func (resp *Response) write(w http.ResponseWriter, r *http.Request, done <-chan struct{}, normal func() *Response) {
	if resp.fault != nil {
		resp.fault(w, r, done, normal)
		return
	}
	resp.send(w)
}

func (resp *Response) send(w http.ResponseWriter) {
	checkStatus(resp.Status)
	h := w.Header()
	for name, values := range resp.Header {
		h[http.CanonicalHeaderKey(name)] = values
	}
	h.Set("Content-Length", strconv.Itoa(len(resp.Body)))
	w.WriteHeader(resp.Status)
	w.Write(resp.Body)
}

func wait(r *http.Request, done <-chan struct{}) {
	select {
	case <-r.Context().Done():
	case <-done:
	}
	panic(http.ErrAbortHandler) // else net/http would send an empty answer
}
