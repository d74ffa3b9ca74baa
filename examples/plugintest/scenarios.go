package plugintest

import "time"

// Scenarios returns all of them.
func Scenarios() []Scenario {
	return []Scenario{
		{Name: "version", Holds: "--version prints one that the AWS CLI understands; without arguments it says that it is installed", run: version},

		{Name: "shell", Holds: "a line goes there and back", run: shell, cli: true},
		{Name: "shell-terminal", Holds: "the terminal is as before at the end", run: shellTerminal},
		{Name: "shell-response-as-argument", Holds: "StartSession's answer may be an argument, as old AWS CLIs have it", run: shellResponseAsArgument},
		{Name: "shell-kms", Holds: "an encrypted session, over a cut; no text in clear on the wire", run: shellKMS},
		{Name: "shell-keys", Holds: "Ctrl-C, Ctrl-Z, Ctrl-\\ and Enter reach the session, and not the plugin", run: shellKeys, cli: true},
		{Name: "shell-resize", Holds: "the terminal's size is told at the start and when it changes", run: shellResize, cli: true},
		{Name: "shell-paste", Holds: "1 MiB of input is whole, pasted", run: shellPaste},
		{Name: "shell-utf8", Holds: "characters of several bytes are whole", run: shellUTF8},
		{Name: "shell-output", Holds: "4 MiB of output are whole", run: shellOutput},
		{Name: "interactive-command", Holds: "an interactive command asks, is answered, and ends", run: interactiveCommand, cli: true},
		{Name: "command", Holds: "a non-interactive command's output is whole", run: command, cli: true},
		{Name: "command-no-input", Holds: "a non-interactive command's output is whole with /dev/null as standard input", run: commandNoInput},
		{Name: "command-separate", Holds: "standard error apart, and the command's exit code", run: commandSeparate},
		{Name: "ssh-newline", Holds: "ssh: a lone line feed stays one", run: sshNewline},
		{Name: "ssh-bulk", Holds: "ssh: 1 MiB there and back is whole", run: sshBulk, cli: true},
		{Name: "port-basic", Holds: "an old agent's port: connections one after another; Ctrl-C ends the session", run: portBasic},
		{Name: "port-mux", Holds: "a port with many connections at once; Ctrl-C ends the session", run: portMux, cli: true},
		{Name: "port-mux-refused", Holds: "what the remote port refuses does not harm other connections", run: portMuxRefused},
		{Name: "port-remote-host", Holds: "a port of another host than the node", run: portRemoteHost, cli: true},
		{Name: "port-upload", Holds: "2 MiB to a port are whole; SIGINT ends the session", run: portUpload},

		{Name: "ended", Holds: "a session that is terminated ends the plugin, which says so", run: terminated, cli: true},
		{Name: "ended-with-words", Holds: "what the service says of the end is shown", run: terminatedWithWords, cli: true},
		{Name: "ended-in-outage", Holds: "a session that is terminated in an outage ends the plugin after it", run: terminatedInOutage},
		{Name: "ended-in-outage-timeout", Holds: "a session that times out in an outage ends the plugin after it", run: timedOutInOutage},

		{Name: "close-each-second", Holds: "status 1000 \"Bye\" each second: output whole, once", run: closeEachSecond, cli: true},
		{Name: "cut", Holds: "a channel that is reset: output whole, once", run: cut},
		{Name: "cut-busy", Holds: "20 cuts while output flows: whole, once", run: cutBusy},
		{Name: "disorder", Holds: "messages late and doubled: output whole, once", run: disorder},
		{Name: "disorder-port", Holds: "messages late and doubled: an upload to a port is whole", run: disorderPort},
		{Name: "lost-ack-lost-output", Holds: "one acknowledgement and one output lost: output whole", run: lostAckLostOutput},
		{Name: "key-in-outage", Holds: "what is typed in an outage of 2 s arrives after it, once", run: keyInOutage},
		{Name: "new-keys", Holds: "the credentials expire, and the profile has new ones: output whole", run: newKeys, cli: true},
		{Name: "agent-away", Holds: "the agent's channel is lost for 2 s: output and input whole", run: agentAway},
		{Name: "upload-outage", Holds: "an upload over an outage of 1 s is whole", run: uploadOutage},
		{Name: "outage-3s", Holds: "an outage of 3 s: output whole, once", run: outage(3 * time.Second), cli: true},
		{Name: "outage-8s", Holds: "an outage of 8 s: output whole, once", run: outage(8 * time.Second), Limit: time.Minute},
		{Name: "outage-20s", Holds: "an outage of 20 s: output whole, once", run: outage(20 * time.Second), Limit: 90 * time.Second, Long: true, cli: true},
		{Name: "forgotten", Holds: "a connection that dies without a word is noticed within 90 s: output whole", run: forgotten, Limit: 2 * time.Minute, Long: true},
	}
}
