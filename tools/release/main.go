// Command release tries a release before there is one: it makes a module proxy of
// files, with the modules as their tags would have them, and installs and imports
// them from there as their users do, outside the workspace.
//
//	go run -C tools ./release v0.1.0 . datachannel netwake examples
//
// The modules are folders of the repository, of which the last commit counts.
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// user is a program of somebody who has read the README.
const user = `package main

import (
	"context"
	"fmt"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
	"github.com/ssmresume/ssmresume/datachannel/datachanneltest"
	"github.com/ssmresume/ssmresume/netwake"
)

func main() {
	srv := datachanneltest.NewServer()
	defer srv.Close()
	first, _ := srv.Start(datachanneltest.Options{})
	wake := make(chan struct{}, 1)
	netwake.Notify(context.Background(), wake)
	s, err := datachannel.Open(context.Background(), ssmresume.NewFromConfig(srv.Config()), first, func(o *datachannel.Options) {
		o.Reconnector = func(r *ssmresume.ReconnectorOptions) { r.Wake = wake }
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Type(), s.Close())
}
`

func main() {
	log.SetFlags(0)
	if len(os.Args) < 3 {
		log.Fatal("usage: release VERSION FOLDER...")
	}
	if err := try(os.Args[1], os.Args[2:]); err != nil {
		log.Fatal(err)
	}
}

func try(version string, folders []string) error {
	repository, err := output("", nil, "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "release")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	proxy := filepath.Join(dir, "proxy")
	var paths []string
	for _, folder := range folders {
		path, err := publish(proxy, repository, folder, version)
		if err != nil {
			return fmt.Errorf("%s: %w", folder, err)
		}
		paths = append(paths, path)
	}

	// What others publish comes from where it comes from always, and mostly from
	// what has been downloaded already; a cache of its own keeps ours apart.
	cache, err := output("", nil, "go", "env", "GOMODCACHE")
	if err != nil {
		return err
	}
	upstream, err := output("", nil, "go", "env", "GOPROXY")
	if err != nil {
		return err
	}
	env := append(os.Environ(), "GOWORK=off", "GOFLAGS=-modcacherw", "GONOSUMDB="+strings.Join(paths, ","),
		"GOMODCACHE="+filepath.Join(dir, "cache"), "GOBIN="+filepath.Join(dir, "bin"),
		"GOPROXY="+fileURL(proxy)+","+fileURL(filepath.Join(cache, "cache", "download"))+","+upstream)

	examples := paths[len(paths)-1]
	for _, program := range []string{"session-manager-plugin", "attach", "check-aws"} {
		if _, err := output(dir, env, "go", "install", examples+"/"+program+"@"+version); err != nil {
			return err
		}
	}
	said, err := output(dir, env, filepath.Join(dir, "bin", "session-manager-plugin"), "--version")
	if err != nil {
		return err
	}
	fmt.Println("go install: session-manager-plugin --version says", said)

	program := filepath.Join(dir, "user")
	if err := os.MkdirAll(program, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(program, "main.go"), []byte(user), 0o644); err != nil {
		return err
	}
	get := []string{"get"}
	for _, path := range paths[:len(paths)-1] {
		get = append(get, path+"@"+version)
	}
	for _, args := range [][]string{{"mod", "init", "example.com/user"}, get, {"mod", "tidy"}} {
		if _, err := output(program, env, "go", args...); err != nil {
			return err
		}
	}
	said, err = output(program, env, "go", "run", ".")
	if err != nil {
		return err
	}
	fmt.Println("go get: a program that imports them says", said)
	return nil
}

// publish puts a module into the proxy, as its tag would.
func publish(proxy, repository, folder, version string) (path string, err error) {
	subdir := filepath.ToSlash(filepath.Clean(folder))
	if subdir == "." {
		subdir = ""
	}
	gomod, err := os.ReadFile(filepath.Join(repository, folder, "go.mod"))
	if err != nil {
		return "", err
	}
	if path = modfile.ModulePath(gomod); path == "" {
		return "", fmt.Errorf("its go.mod names no module")
	}
	escaped, err := module.EscapePath(path)
	if err != nil {
		return "", err
	}
	var archive bytes.Buffer
	if err := zip.CreateFromVCS(&archive, module.Version{Path: path, Version: version}, repository, "HEAD", subdir); err != nil {
		return "", err
	}
	dir := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	info := fmt.Sprintf(`{"Version":%q,"Time":%q}`, version, time.Now().UTC().Format(time.RFC3339))
	for name, content := range map[string][]byte{"list": []byte(version + "\n"), version + ".info": []byte(info), version + ".mod": gomod, version + ".zip": archive.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return "", err
		}
	}
	return path, nil
}

// output runs a command and returns what it says. Env is nil for this process's.
func output(dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	var said, complaint bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, &said, &complaint
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, &complaint)
	}
	return strings.TrimSpace(said.String()), nil
}

func fileURL(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") { // C:/…
		path = "/" + path
	}
	return "file://" + path
}
