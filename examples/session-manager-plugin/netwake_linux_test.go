package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
)

// TestListensToTheNetwork: the kernel tells the plugin which addresses and routes
// come.
func TestListensToTheNetwork(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first, _ := f.srv.Start(datachanneltest.Options{Program: greet})
	p := f.run(f.plugin(first, parameters, f.srv.URL()))
	p.shows("$ ")

	listening, err := os.ReadFile("/proc/net/netlink")
	if err != nil {
		t.Skip(err)
	}
	const routing, protocol, groups, inode = "0", 1, 3, 9 // columns
	groupsOf := map[string]string{}
	for line := range strings.Lines(string(listening)) {
		if column := strings.Fields(line); len(column) > inode && column[protocol] == routing {
			groupsOf["socket:["+column[inode]+"]"] = column[groups]
		}
	}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, file := range files {
		what, _ := os.Readlink(file)
		in := groupsOf[what]
		found = found || in != "" && in != "00000000"
	}
	if !found {
		t.Errorf("of its %d open files none is a netlink socket that listens", len(files))
	}
	p.types("exit")
	p.end()
}
