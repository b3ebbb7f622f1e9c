package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// makeCerts runs chat certs.
func makeCerts(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, said bytes.Buffer
	code = run(append([]string{"certs"}, args...), strings.NewReader(""), &out, &said)
	return code, out.String(), said.String()
}

func TestCertificatesNameTheirSystems(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	if code, out, said := makeCerts(t, "-cluster", "room", "-systems", "2", "-hosts", "localhost,::1", dir); code != exitOK ||
		!strings.Contains(out, filepath.Join(dir, "1.pem")) {
		t.Fatalf("exit code %d; it prints %q, and says %q", code, out, said)
	}
	text, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	must(t, err)
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(text)
	for name, uri := range map[string]string{"1": "raft://room/1", "2": "raft://room/2", "client": ""} {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key"))
		must(t, err)
		got := ""
		if len(pair.Leaf.URIs) > 0 {
			got = pair.Leaf.URIs[0].String()
		}
		if got != uri {
			t.Errorf("%s: it is %q, want %q", name, got, uri)
		}
		for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
			for _, host := range []string{"localhost", "::1"} {
				if _, err := pair.Leaf.Verify(x509.VerifyOptions{
					Roots: authorities, DNSName: host, KeyUsages: []x509.ExtKeyUsage{use},
				}); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		if info, err := os.Stat(filepath.Join(dir, name+".key")); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: the key has mode %v, %v", name, info.Mode(), err)
		}
	}
}

func TestCertificatesThatAreThereAreNotReplaced(t *testing.T) {
	dir := t.TempDir()
	if code, _, said := makeCerts(t, dir); code != exitOK {
		t.Fatalf("exit code %d; it says %q", code, said)
	}
	before, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	must(t, err)
	if code, _, said := makeCerts(t, dir); code != exitFailed || !strings.Contains(said, "is there already") {
		t.Errorf("exit code %d; it says %q", code, said)
	}
	if after, err := os.ReadFile(filepath.Join(dir, "ca.pem")); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the authority is another one: %v", err)
	}
}
