package compat

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/smithy-go"
)

// responseDifferences are those in what is made of an answer, in the order in
// which they add up.
var responseDifferences = []difference[response, result]{
	{
		name:    "no answer, no ResponseError",
		reason:  "A ResponseError says what the service answered. Without an answer the SDK's holds an invented one, of status 0.",
		example: response{fault: "end", maxAttempts: 3},
		sdk:     `0 OperationError ResponseError RequestSendError MaxAttemptsError, 3 requests, retryable true`,
		ours:    `0 OperationError RequestSendError MaxAttemptsError, 3 requests, retryable true`,
		applies: func(in response, _ result) bool { return in.fault != "" },
		want: func(_ response, sdk result) result {
			return sdk.find(false, "ResponseError")
		},
	},
	{
		name:    "a redirect is not followed",
		reason:  "An *http.Client would take the signature and the security token to another host; the SDK follows a 301, 302 or 303 with it.",
		example: with(usual(302, ""), func(r *response) { r.header.Set("Location", "/redirected") }),
		sdk:     `ok "" "" "redirected", 2 requests`,
		ours:    `302 OperationError APIError GenericAPIError ResponseError, 1 requests, retryable false; unknown UnknownError "the answer has no error code, its status is 302 Found"`,
		applies: func(in response, sdk result) bool { return sdk.Token == "redirected" },
		want:    func(in response, _ result) result { return in.notJSON(result{Requests: 1}) },
	},

	// Answers with a status of success.
	{
		name:    "text that is not UTF-8",
		reason:  "JSON is UTF-8. As in encoding/json, each byte that is not becomes U+FFFD, so that what comes out can be sent on as JSON.",
		example: usual(200, "{\"TokenValue\":\"t\xff\"}"),
		sdk:     `ok "" "" "t\xff", 1 requests`,
		ours:    "ok \"\" \"\" \"t\ufffd\", 1 requests",
		applies: func(in response, sdk result) bool { return sdk.OK || sdk.Code != "" },
		want: func(_ response, sdk result) result {
			for _, s := range []*string{&sdk.SessionID, &sdk.StreamURL, &sdk.Token, &sdk.Message} {
				*s = string([]rune(*s))
			}
			return sdk
		},
	},
	{
		name:    "success without a token",
		reason:  "The session has ended: nobody can use such an output. An answer that names an error is that error; one of another status, without a request ID, of another type, for another session or with a message is not the service's word.",
		example: with(usual(200, `{"SessionId":"`+sessionID+`"}`), func(r *response) { r.header.Set("x-amzn-RequestId", "id") }),
		sdk:     `ok "Mary-Major-07a16060613c408b5" "" "", 1 requests`,
		ours:    `id: 200 OperationError APIError ResponseError, 1 requests, retryable false; client SessionTimedOut "the service returned no token: the session has ended and cannot be resumed"`,
		applies: func(_ response, sdk result) bool { return sdk.OK && sdk.Token == "" },
		want: func(in response, sdk result) result {
			typ, code, message, _ := in.errorFields()
			switch {
			case !json.Valid([]byte(in.body)):
				return in.notAnAnswer(sdk)
			case in.get("X-Amzn-ErrorType")+typ+code != "":
				return in.notJSON(result{RequestID: sdk.RequestID})
			case in.status != 200, sdk.RequestID == "", in.get("Content-Type") != "", sdk.SessionID != "" && sdk.SessionID != sessionID, message != "":
				return in.notAnAnswer(sdk)
			}
			sdk = in.notAnAnswer(sdk).find(false, "DeserializationError").find(true, "APIError")
			sdk.Code, sdk.Message, sdk.Fault = "SessionTimedOut", "the service returned no token: the session has ended and cannot be resumed", "client"
			return sdk
		},
	},
	{
		name:    "success without a JSON object",
		reason:  "An empty body, or one that goes on after the object, was not made by the service: it must not end a session, nor pass for a token.",
		example: usual(200, `{"TokenValue":"t"} x`),
		sdk:     `ok "" "" "t", 1 requests`,
		ours:    `200 OperationError ResponseError DeserializationError, 1 requests, retryable false`,
		applies: func(in response, sdk result) bool { return in.success() && !json.Valid([]byte(in.body)) },
		want:    response.notAnAnswer,
	},
	{
		name:    "success of more than 64 KiB",
		reason:  "The service's answers have 1 KiB. What has more is not the service's, and may have no end.",
		example: usual(200, `{"TokenValue":"t","Other":"`+strings.Repeat("o", 64<<10)+`"}`),
		sdk:     `ok "" "" "t", 1 requests`,
		ours:    `200 OperationError ResponseError DeserializationError, 1 requests, retryable false`,
		applies: func(in response, sdk result) bool { return in.success() && len(in.body) > 64<<10 },
		want:    response.notAnAnswer,
	},

	// Errors.
	{
		name:    "error that is not JSON",
		reason:  "A proxy's page, a body that is cut off or holds an odd type still has a status, and may have a code. The SDK reports a DeserializationError.",
		example: usual(403, "<html>"),
		sdk:     `403 OperationError ResponseError DeserializationError, 1 requests, retryable false`,
		ours:    `403 OperationError APIError ResponseError, 1 requests, retryable false; client UnknownError "the answer has no error code, its status is 403 Forbidden"`,
		applies: func(in response, sdk result) bool {
			return !in.success() && in.fault == "" && (sdk.finds("DeserializationError") || len(in.body) > 64<<10)
		},
		want: response.notJSON,
	},
	{
		name:    "code that is empty once it is cut",
		reason:  `It is no code, and reads better as "UnknownError", which the SDK too has for an error without a code.`,
		example: usual(400, `{"__type":"ns#:x","message":"m"}`),
		sdk:     `400 OperationError APIError GenericAPIError ResponseError, 1 requests, retryable false; unknown  "m"`,
		ours:    `400 OperationError APIError GenericAPIError ResponseError, 1 requests, retryable false; unknown UnknownError "m"`,
		applies: func(_ response, sdk result) bool { return sdk.finds("APIError") && sdk.Code == "" },
		want: func(_ response, sdk result) result {
			sdk.Code = "UnknownError"
			return sdk
		},
	},
	{
		name:    "error without code and message",
		reason:  "Where the body says nothing, the message names the status.",
		example: usual(413, ""),
		sdk:     `413 OperationError APIError GenericAPIError ResponseError, 1 requests, retryable false; unknown UnknownError "UnknownError"`,
		ours:    `413 OperationError APIError GenericAPIError ResponseError, 1 requests, retryable false; unknown UnknownError "the answer has no error code, its status is 413 Request Entity Too Large"`,
		applies: func(in response, sdk result) bool {
			return sdk.Code == "UnknownError" && sdk.Message == "UnknownError" && strings.TrimLeft(in.body, " \t\r\n") == ""
		},
		want: func(in response, sdk result) result {
			sdk.Message = in.statusMessage()
			return sdk
		},
	},
	{
		name:    "spelling of message",
		reason:  `Any is taken, as the SDK does for the codes that it has no type for; its types know "message" and "Message".`,
		example: usual(400, `{"__type":"DoesNotExistException","MESSAGE":"m"}`),
		sdk:     `400 OperationError APIError ResponseError, 1 requests, retryable false; client DoesNotExistException ""`,
		ours:    `400 OperationError APIError ResponseError, 1 requests, retryable false; client DoesNotExistException "m"`,
		applies: func(in response, sdk result) bool { return inSDK(sdk.Code) && in.misspelt() },
		want: func(in response, sdk result) result {
			_, _, sdk.Message, _ = in.errorFields()
			return sdk
		},
	},
	{
		name:    "codes of other operations",
		reason:  "The SDK has types for all errors of Systems Manager; ResumeSession returns few of them. All others are GenericAPIErrors.",
		example: usual(400, `{"__type":"InvalidInstanceId"}`),
		sdk:     `400 OperationError APIError ResponseError, 1 requests, retryable false; client InvalidInstanceId ""`,
		ours:    `400 OperationError APIError GenericAPIError ResponseError, 1 requests, retryable false; unknown InvalidInstanceId "UnknownError"`,
		applies: func(_ response, sdk result) bool { return sdk.Code != "" && !modeled[sdk.Code] && inSDK(sdk.Code) },
		want: func(_ response, sdk result) result {
			if sdk.Message == "" {
				sdk.Message = "UnknownError"
			}
			sdk.Fault = "unknown"
			return sdk.find(true, "GenericAPIError")
		},
	},
	{
		name:    "codes with a type",
		reason:  "A caller acts on them, so they have a type, and with it a fault, where the SDK has a GenericAPIError.",
		example: usual(400, `{"__type":"ExpiredTokenException","message":"m"}`),
		sdk:     `400 OperationError APIError GenericAPIError ResponseError, 1 requests, retryable false; unknown ExpiredTokenException "m"`,
		ours:    `400 OperationError APIError ResponseError, 1 requests, retryable false; client ExpiredTokenException "m"`,
		applies: func(in response, sdk result) bool {
			return sdk.finds("GenericAPIError") && in.meaning(sdk.Code) != smithy.FaultUnknown
		},
		want: func(in response, sdk result) result {
			sdk.Fault = in.meaning(sdk.Code).String()
			return sdk.find(false, "GenericAPIError")
		},
	},
	{
		name:    "429 with a code",
		reason:  "It is throttling and tried again, unless the code means something else here. To the SDK it depends on whether the code has a type there.",
		example: usual(429, `{"__type":"ExpiredTokenException","message":"m"}`),
		sdk:     `429 OperationError APIError GenericAPIError ResponseError MaxAttemptsError, 3 requests, retryable true; unknown ExpiredTokenException "m"`,
		ours:    `429 OperationError APIError ResponseError, 1 requests, retryable false; client ExpiredTokenException "m"`,
		applies: func(in response, sdk result) bool { return sdk.finds("APIError") && in.status == 429 },
		want: func(in response, sdk result) result {
			return in.tried(sdk, in.isThrottling(sdk.Code))
		},
	},
	{
		name:    "session token in a code or a message",
		reason:  "AWS may explain a wrong signature by the request that it got. The token is a secret, so it is taken out.",
		example: usual(400, `{"__type":"InvalidSignatureException","message":"x-amz-security-token:`+sessionToken+`"}`),
		sdk:     `400 OperationError APIError GenericAPIError ResponseError, 1 requests, retryable false; unknown InvalidSignatureException "x-amz-security-token:IQoJb3JpZ2luX2VjEXAMPLE"`,
		ours:    `400 OperationError APIError ResponseError, 1 requests, retryable false; client InvalidSignatureException "x-amz-security-token:[redacted]"`,
		applies: func(_ response, sdk result) bool { return redact(sdk.Code+"|"+sdk.Message) != sdk.Code+"|"+sdk.Message },
		want: func(_ response, sdk result) result {
			sdk.Code, sdk.Message = redact(sdk.Code), redact(sdk.Message)
			return sdk
		},
	},
	{
		name:    "request ID with control characters",
		reason:  "It is printed by the SDK's ResponseError as it is, and could forge a line of a log.",
		example: with(usual(400, `{"__type":"DoesNotExistException"}`), func(r *response) { r.header.Set("x-amzn-RequestId", "a\u2028b") }),
		sdk:     `a b: 400 OperationError APIError ResponseError, 1 requests, retryable false; client DoesNotExistException ""`,
		ours:    `a\u2028b: 400 OperationError APIError ResponseError, 1 requests, retryable false; client DoesNotExistException ""`,
		applies: func(_ response, sdk result) bool { return sdk.RequestID != "" },
		want: func(_ response, sdk result) result {
			sdk.RequestID = strings.NewReplacer("\u2028", `\u2028`, "\u202e", `\u202e`).Replace(sdk.RequestID)
			return sdk
		},
	},

	// The clock.
	{
		name:    "a clock is not learned from plain HTTP",
		reason:  "Anybody on the way could make the client sign for a time of his choice. Plain HTTP on this machine, and HTTPS, are believed.",
		example: with(usual(400, `{"__type":"InvalidSignatureException"}`), func(r *response) { r.endpoint, r.date = plainHTTP, time.Hour }),
		sdk:     `400 OperationError APIError GenericAPIError ResponseError, 2 requests, retryable false; unknown InvalidSignatureException "UnknownError"`,
		ours:    `400 OperationError APIError ResponseError, 1 requests, retryable false; client InvalidSignatureException "UnknownError"`,
		applies: func(in response, sdk result) bool {
			return in.endpoint == plainHTTP && in.clockIsOff() && clockCodes[sdk.Code]
		},
		want: func(in response, sdk result) result { return in.tried(sdk, in.retryable(sdk.Code)) },
	},
	{
		name:    "a corrected clock is tried at once",
		reason:  "It is the same attempt, with another time: it counts for none, waits for nothing and is made with one attempt too. RequestExpired is such a code as well.",
		example: with(usual(400, `{"__type":"RequestExpired"}`), func(r *response) { r.date = time.Hour }),
		sdk:     `400 OperationError APIError GenericAPIError ResponseError, 1 requests, retryable false; unknown RequestExpired "UnknownError"`,
		ours:    `400 OperationError APIError ResponseError, 2 requests, retryable false; client RequestExpired "UnknownError"`,
		applies: func(in response, sdk result) bool {
			return in.endpoint != plainHTTP && in.clockIsOff() && (clockCodes[sdk.Code] || sdk.Code == "RequestExpired")
		},
		want: func(in response, sdk result) result {
			sdk = in.tried(sdk, in.retryable(sdk.Code))
			sdk.Requests++
			return sdk
		},
	},

	{
		name:    "an answer that breaks off",
		reason:  "The connection was lost, as it is before an answer: it is the same transport error, and tried again. The SDK reports a DeserializationError.",
		example: with(usual(200, `{"TokenValue":"t`), func(r *response) { r.missing = 2 }),
		sdk:     `200 OperationError ResponseError DeserializationError, 1 requests, retryable false`,
		ours:    `0 OperationError RequestSendError MaxAttemptsError, 3 requests, retryable true`,
		applies: func(in response, sdk result) bool { return in.broken() },
		want: func(in response, sdk result) result {
			return in.tried(result{}.find(true, "OperationError", "RequestSendError"), true)
		},
	},
}

// requestDifferences are those in what is sent.
var requestDifferences = []difference[request, sent]{
	{
		name:    "session ID that is empty or not UTF-8",
		reason:  "The service refuses the first, and JSON would silently make another session's ID of the second.",
		example: request{sessionID: "a\xff", env: map[string]string{"AWS_REGION": "us-east-2"}},
		sdk:     "POST ssm.us-east-2.amazonaws.com/ {\"SessionId\":\"a\ufffd\"}, scope AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/us-east-2/ssm/aws4_request: ok",
		ours:    `refused`,
		applies: func(in request, _ sent) bool { return in.sessionID == "" || !utf8.ValidString(in.sessionID) },
		want:    refused,
	},
	{
		name:    "FIPS in the name of the Region",
		reason:  "The SDK takes it for a wish for FIPS, but signs for the name as it is. A Region is what its name says; AWS_USE_FIPS_ENDPOINT asks for FIPS.",
		example: request{sessionID: "s", env: map[string]string{"AWS_REGION": "us-east-1-fips"}},
		sdk:     `POST ssm-fips.us-east-1.amazonaws.com/ {"SessionId":"s"}, scope AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/us-east-1-fips/ssm/aws4_request: ok`,
		ours:    `POST ssm.us-east-1-fips.amazonaws.com/ {"SessionId":"s"}, scope AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/us-east-1-fips/ssm/aws4_request: ok`,
		applies: func(in request, sdk sent) bool { return strings.Contains(in.env["AWS_REGION"], "fips") && !sdk.Refused },
		want: func(in request, sdk sent) sent {
			sdk.Host = "ssm." + in.env["AWS_REGION"] + ".amazonaws.com"
			return sdk
		},
	},
	{
		name:    "Region that is no label of a host name",
		reason:  "It is a part of the endpoint's name and of the signature. With a dot, or a hyphen at its end, it names another host than is meant; a signature without any is refused.",
		example: request{sessionID: "s", env: map[string]string{"AWS_REGION": "a.b"}},
		sdk:     `POST ssm.a.b.amazonaws.com/ {"SessionId":"s"}, scope AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/a.b/ssm/aws4_request: ok`,
		ours:    `refused`,
		applies: func(_ request, sdk sent) bool {
			return !sdk.Refused && (sdk.Region == "" || strings.Contains(sdk.Region, ".") || strings.Trim(sdk.Region, "-") != sdk.Region)
		},
		want: refused,
	},
	{
		name:    "endpoint with a password, query or fragment",
		reason:  "The SDK leaves it out without a word. Nobody writes it to have it left out, and a password should not be there.",
		example: request{sessionID: "s", env: map[string]string{"AWS_REGION": "us-east-2"}, baseEndpoint: "http://127.0.0.1:4566/?q=1", odd: true},
		sdk:     `POST 127.0.0.1:4566/ {"SessionId":"s"}, scope AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/us-east-2/ssm/aws4_request: ok`,
		ours:    `refused`,
		applies: func(in request, sdk sent) bool {
			u, err := url.Parse(in.baseEndpoint)
			return in.odd && !sdk.Refused && err == nil && (u.User != nil || strings.ContainsAny(in.baseEndpoint, "?#"))
		},
		want: refused,
	},
	{
		name:    "endpoint on no host",
		reason:  "Neither a DNS name of letters, digits, hyphens and underscores nor an IP address without zone, or no port of 1 to 65535: a slip that is best told at once.",
		example: request{sessionID: "s", env: map[string]string{"AWS_REGION": "us-east-2"}, baseEndpoint: "http://a..b", odd: true},
		sdk:     `POST a..b/ {"SessionId":"s"}, scope AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/us-east-2/ssm/aws4_request: ok`,
		ours:    `refused`,
		applies: func(in request, sdk sent) bool {
			_, err := hostOf(in.baseEndpoint)
			return in.odd && !sdk.Refused && err != nil
		},
		want: refused,
	},
	{
		name:    "endpoint with the default port spelt out",
		reason:  "Only then does the SDK look at the host name, and refuses underscores and IPv6. Containers have such names.",
		example: request{sessionID: sessionID, env: map[string]string{"AWS_REGION": "us-east-2"}, baseEndpoint: "http://my_service:80", odd: true},
		sdk:     `refused`,
		ours:    `POST my_service/ {"SessionId":"Mary-Major-07a16060613c408b5"}, scope AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/us-east-2/ssm/aws4_request: ok`,
		applies: func(in request, sdk sent) bool {
			host, err := hostOf(in.baseEndpoint)
			return in.odd && sdk.Refused && err == nil && !strings.ContainsAny(in.baseEndpoint, "@?#") && host != "ssm.example.com"
		},
		want: func(in request, _ sent) sent {
			u, _ := url.Parse(in.baseEndpoint)
			host, _ := hostOf(in.baseEndpoint)
			return sent{
				Method: "POST", Host: host, Path: cmp.Or(u.EscapedPath(), "/"), Target: "AmazonSSM.ResumeSession", MediaType: "application/x-amz-json-1.1",
				Body:          `{"SessionId":"` + in.sessionID + `"}`,
				Scope:         "AWS4-HMAC-SHA256 Credential=" + in.env["AWS_ACCESS_KEY_ID"] + "/us-east-2/ssm/aws4_request",
				SecurityToken: in.env["AWS_SESSION_TOKEN"],
				Retryer:       "*retry.Standard, 3 attempts",
				Region:        "us-east-2",
				Answer:        map[bool]string{true: "ok", false: "UnknownOperationException"}[strings.Trim(u.Path, "/") == ""],
			}
		},
	},
}

// cancelDifferences are those in what a call returns whose context ends.
var cancelDifferences = []difference[cancellation, result]{
	{
		name:    "context ended before the call",
		reason:  "A CanceledError, as later. The SDK returns the bare error of the context, which its retryer takes for one to try again.",
		example: cancellation{when: "before the call", deadline: true},
		sdk:     `0 OperationError DeadlineExceeded, 0 requests, retryable true`,
		ours:    `0 OperationError CanceledError DeadlineExceeded, 0 requests, retryable false`,
		applies: func(in cancellation, _ result) bool { return in.when == "before the call" },
		want: func(_ cancellation, sdk result) result {
			sdk.Retryable = false
			return sdk.find(true, "CanceledError")
		},
	},
	{
		name:    "context ended before the answer",
		reason:  "As without any answer: no ResponseError.",
		example: cancellation{when: "before the answer"},
		sdk:     `0 OperationError ResponseError CanceledError Canceled, 0 requests, retryable false`,
		ours:    `0 OperationError CanceledError Canceled, 0 requests, retryable false`,
		applies: func(in cancellation, _ result) bool { return in.when == "before the answer" },
		want:    func(_ cancellation, sdk result) result { return sdk.find(false, "ResponseError") },
	},
	{
		name:    "context ended in the body",
		reason:  "A CanceledError, as before. The SDK reports a DeserializationError.",
		example: cancellation{when: "in the body"},
		sdk:     `200 OperationError ResponseError DeserializationError Canceled, 0 requests, retryable false`,
		ours:    `0 OperationError CanceledError Canceled, 0 requests, retryable false`,
		applies: func(in cancellation, _ result) bool { return in.when == "in the body" },
		want: func(_ cancellation, sdk result) result {
			sdk.Status = 0
			return sdk.find(false, "ResponseError", "DeserializationError").find(true, "CanceledError")
		},
	},
	{
		name:    "context ended in the wait",
		reason:  "The RequestCanceledError tells also why there was a wait.",
		example: cancellation{when: "in the wait"},
		sdk:     `0 OperationError RequestCanceledError Canceled, 0 requests, retryable false`,
		ours:    `503 OperationError APIError ResponseError RequestCanceledError Canceled, 0 requests, retryable false; server UnknownError "the answer has no error code, its status is 503 Service Unavailable"`,
		applies: func(in cancellation, _ result) bool { return in.when == "in the wait" },
		want: func(_ cancellation, sdk result) result {
			sdk.Status, sdk.Code, sdk.Fault, sdk.Message = 503, "UnknownError", "server", usual(503, "").statusMessage()
			return sdk.find(true, "APIError", "ResponseError")
		},
	},
}

// waitDifferences are those in how long it is waited before another attempt.
var waitDifferences = []difference[retryAfter, time.Duration]{
	{
		name:    "Retry-After",
		reason:  "The SDK knows x-amz-retry-after only. What proxies and throttling services send is honoured in the same way: up to 5 s beyond the backoff.",
		example: retryAfter{"Retry-After", "4"},
		sdk:     `0s`,
		ours:    `4s`,
		applies: func(in retryAfter, _ time.Duration) bool { return in.name == "Retry-After" },
		want: func(in retryAfter, _ time.Duration) time.Duration {
			if s, err := strconv.Atoi(in.value); err == nil && s > 0 {
				return min(time.Duration(s)*time.Second, 5*time.Second)
			}
			if at, err := http.ParseTime(in.value); err == nil {
				return max(time.Until(at)-time.Until(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)), 0).Round(time.Second)
			}
			return 0
		},
	},
}
