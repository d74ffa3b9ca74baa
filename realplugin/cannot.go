package main

import "runtime"

// cannot is what AWS's plugin of April 2026 cannot do, seen in each run, and read
// in its source.
var cannot = map[string]string{
	"command-no-input":     "the end of standard input ends it before the command's output",
	"command-separate":     "it prints standard error and the exit code on standard output, and exits with 0",
	"ssh-newline":          "an input of one line feed is sent as a carriage return, whatever the session",
	"ended-in-outage":      "it takes DoesNotExistException for a fault that passes, gives up after 6 attempts, and stays, silent",
	"cut-busy":             "an output whose acknowledgement was lost is never acknowledged again; the agent repeats that one for ever, and no other",
	"lost-ack-lost-output": "the same: the agent repeats that output for ever, and no other",
	"key-in-outage":        "a write that fails ends it",
	"new-keys":             "it signs the next handshake with the keys of the first",
	"upload-outage":        "a write that fails ends the goroutine that sends, and nothing else",
	"outage-8s":            "it gives up after 6 attempts, which take 3.1 to 6.2 s, and stays, silent",
	"outage-20s":           "it has given up by then, and stays, silent",
	"forgotten":            "it pings each 5 minutes, and waits for no answer",
}

func init() {
	if runtime.GOOS == "linux" {
		cannot["shell-terminal"] = "it hands the output of stty -g back with its line feed, which GNU's stty refuses; only the echo comes back"
	}
}
