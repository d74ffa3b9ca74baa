package ssmresumetest

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	timeFormat = "20060102T150405Z"
	maxAge     = 5 * time.Minute // how far a signature's time may be off
)

// VerifyHandshake verifies the signature of a data channel's WebSocket
// handshake: service ssmmessages, the server's Region and credentials, an empty
// body. A request whose query is signed must not have a signature in its headers
// too. The error names AWS's code and text.
func (s *Server) VerifyHandshake(r *http.Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Query().Has("X-Amz-Signature") {
		if r.Header.Get("Authorization") != "" {
			return errors.New("InvalidSignatureException: the query and the headers hold a signature, one is allowed")
		}
		return errors.New("InvalidSignatureException: presigned handshakes are not verified here")
	}
	if refused := s.verify(r, nil, "ssmmessages", time.Now().Add(s.clockOffset)); refused != nil {
		return fmt.Errorf("%s", refused.Body)
	}
	return nil
}

// verify returns the answer that refuses the request, or nil. s.mu is held.
func (s *Server) verify(r *http.Request, body []byte, service string, now time.Time) *Response {
	refuse := func(code, format string, args ...any) *Response {
		return Fail(http.StatusBadRequest, code, fmt.Sprintf(format, args...))
	}
	header := headerValue(r, "Authorization")
	if header == "" {
		return refuse("MissingAuthenticationTokenException", "Request is missing Authentication Token")
	}
	auth, problem := parseAuthorization(header)
	if problem != "" {
		return refuse("IncompleteSignatureException", "%s", problem)
	}
	date := headerValue(r, "X-Amz-Date")
	signedAt, err := time.Parse(timeFormat, date)
	if err != nil || signedAt.Format(timeFormat) != date { // Parse takes a fraction, too
		return refuse("IncompleteSignatureException", "Date must be in ISO-8601 'basic format'. Got '%s'.", date)
	}
	i := slices.IndexFunc(s.credentials, func(c aws.Credentials) bool { return c.AccessKeyID == auth.accessKeyID })
	if i < 0 && !s.expired[auth.accessKeyID] {
		return refuse("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	if s.expired[auth.accessKeyID] {
		return refuse("ExpiredTokenException", "The security token included in the request is expired")
	}
	creds := s.credentials[i]
	if token := headerValue(r, "X-Amz-Security-Token"); token != creds.SessionToken ||
		token != "" && !slices.Contains(auth.signedHeaders, "x-amz-security-token") {
		return refuse("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	switch {
	case auth.region != s.region:
		return refuse("InvalidSignatureException", "Credential should be scoped to a valid region.")
	case auth.service != service:
		return refuse("InvalidSignatureException", "Credential should be scoped to correct service: '%s'.", service)
	case auth.date != date[:8]:
		return refuse("InvalidSignatureException", "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.", auth.date, date[:8], date)
	case signedAt.Before(now.Add(-maxAge)):
		return refuse("InvalidSignatureException", "Signature expired: %s is now earlier than %s (%s - 5 min.)", date, now.Add(-maxAge).UTC().Format(timeFormat), now.UTC().Format(timeFormat))
	case signedAt.After(now.Add(maxAge)):
		return refuse("InvalidSignatureException", "Signature not yet current: %s is still later than %s (%s + 5 min.)", date, now.Add(maxAge).UTC().Format(timeFormat), now.UTC().Format(timeFormat))
	}
	last := ""
	for _, name := range auth.signedHeaders {
		if name <= last || name != strings.ToLower(name) || len(headerValues(r, name)) == 0 {
			return refuse("InvalidSignatureException", "SignedHeaders must name headers of the request, in lower case, sorted, each once: '%s'.", strings.Join(auth.signedHeaders, ";")) // not AWS's words
		}
		last = name
	}
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") && !slices.Contains(auth.signedHeaders, name) {
			return refuse("InvalidSignatureException", "'%s' must be a 'SignedHeader' in the AWS Authorization.", name)
		}
	}
	if !slices.Contains(auth.signedHeaders, "host") {
		return refuse("InvalidSignatureException", "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	path, query, _ := strings.Cut(r.RequestURI, "?")
	canonical := canonicalRequest(r.Method, path, query, auth.signedHeaders, func(name string) []string { return headerValues(r, name) }, body)
	signature := sign(creds.SecretAccessKey, auth, stringToSign(date, auth.scope(), canonical))
	if subtle.ConstantTimeCompare([]byte(signature), []byte(auth.signature)) != 1 {
		return refuse("InvalidSignatureException", "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	return nil
}

// authorization is an Authorization header, taken apart.
type authorization struct {
	accessKeyID, date, region, service string
	signedHeaders                      []string
	signature                          string
}

func (a authorization) scope() string {
	return a.date + "/" + a.region + "/" + a.service + "/aws4_request"
}

// parseAuthorization returns AWS's words for what is wrong with the header, or
// an empty string.
func parseAuthorization(header string) (_ authorization, problem string) {
	rest, ok := strings.CutPrefix(header, algorithm+" ")
	if !ok {
		return authorization{}, "Unsupported AWS 'algorithm'"
	}
	params := map[string]string{}
	for param := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if _, twice := params[name]; twice {
			return authorization{}, "Authorization header has two '" + name + "' parameters."
		}
		params[name] = value
	}
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if params[name] == "" {
			return authorization{}, "Authorization header requires '" + name + "' parameter."
		}
	}
	scope := strings.Split(params["Credential"], "/")
	if len(scope) != 5 || scope[4] != "aws4_request" {
		return authorization{}, "Credential must have exactly 5 slash-delimited elements, the last 'aws4_request'."
	}
	return authorization{
		accessKeyID:   scope[0],
		date:          scope[1],
		region:        scope[2],
		service:       scope[3],
		signedHeaders: strings.Split(params["SignedHeaders"], ";"),
		signature:     params["Signature"],
	}, ""
}

// headerValue is a header as whoever takes one sees it: what came twice is one
// list, and so neither a date nor a name.
func headerValue(r *http.Request, name string) string {
	return strings.Join(r.Header.Values(name), ",")
}

// headerValues finds the headers that net/http keeps elsewhere, too.
func headerValues(r *http.Request, name string) []string {
	switch {
	case name == "host":
		return []string{r.Host}
	case name == "content-length" && r.ContentLength > 0:
		return []string{strconv.FormatInt(r.ContentLength, 10)}
	}
	return r.Header.Values(name)
}

// canonicalRequest is the first step of SigV4:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
func canonicalRequest(method, path, query string, signedHeaders []string, header func(string) []string, body []byte) string {
	if path == "" {
		path = "/"
	}
	var b strings.Builder
	b.WriteString(method + "\n" + escape(path, "/") + "\n" + canonicalQuery(query) + "\n")
	for _, name := range signedHeaders {
		values := slices.Clone(header(name))
		for i, v := range values {
			values[i] = strings.Join(strings.Fields(v), " ")
		}
		b.WriteString(name + ":" + strings.Join(values, ",") + "\n")
	}
	b.WriteString("\n" + strings.Join(signedHeaders, ";") + "\n" + hexSHA256(body))
	return b.String()
}

// canonicalQuery decodes the query as a form, so that "+" is a space, and
// encodes it again, sorted.
func canonicalQuery(query string) string {
	var pairs [][2]string
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		for _, s := range []*string{&name, &value} {
			if decoded, err := url.QueryUnescape(*s); err == nil {
				*s = decoded
			}
		}
		pairs = append(pairs, [2]string{escape(name, ""), escape(value, "")})
	}
	slices.SortFunc(pairs, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	var joined []string
	for _, p := range pairs {
		joined = append(joined, p[0]+"="+p[1])
	}
	return strings.Join(joined, "&")
}

// escape percent-encodes all but RFC 3986's unreserved characters and those of
// keep.
func escape(s, keep string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || strings.IndexByte("-_.~"+keep, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func stringToSign(date, scope, canonical string) string {
	return algorithm + "\n" + date + "\n" + scope + "\n" + hexSHA256([]byte(canonical))
}

func sign(secret string, a authorization, toSign string) string {
	key := []byte("AWS4" + secret)
	for _, part := range []string{a.date, a.region, a.service, "aws4_request", toSign} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return hex.EncodeToString(key)
}

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
