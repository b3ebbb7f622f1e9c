package raftremote

import (
	"bytes"
	"crypto/x509"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"

	"example.com/raftactor/node"
	"example.com/raftactor/remote/certtest"
)

func TestValidateNamesEveryFault(t *testing.T) {
	err := Config{
		Listen: "7001", Advertise: "x", PeerQueueBytesMax: -1, ConnectionsMax: -2, PeerTimeout: -3,
	}.Validate()
	for _, want := range []string{"Listen", "PeerQueueBytesMax is -1", "ConnectionsMax is -2", "PeerTimeout is -3", "LoadTLS", "Insecure: true"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	if !errors.Is(err, ErrInsecure) {
		t.Errorf("got %v, want ErrInsecure", err)
	}
}

func TestAddressesThatOthersCannotReachAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		listen, advertise, want string
	}{
		"no port":                {"127.0.0.1", "", "HOST:PORT"},
		"a wrong port":           {"127.0.0.1:70000", "", "port"},
		"a port with zeros":      {"127.0.0.1:07", "", "port"},
		"no host":                {":7001", "", "Advertise"},
		"all hosts":              {"0.0.0.0:7001", "", "Advertise"},
		"all hosts of IPv6":      {"[::]:7001", "", "Advertise"},
		"advertised: all hosts":  {":7001", "0.0.0.0:7001", "names no host"},
		"advertised: any port":   {":7001", "a:0", "port"},
		"advertised: no port":    {":7001", "a", "HOST:PORT"},
		"advertised: a resolver": {":7001", "dns:7001", "gRPC"},
		"advertised: a path":     {":7001", "a/b:7001", "character"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Config{Listen: c.listen, Advertise: c.advertise, Insecure: true}.Validate()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
	for _, c := range []Config{
		{Listen: "127.0.0.1:0"}, {Listen: "localhost:7001"}, {Listen: "[::1]:0"}, {Listen: ":0", Advertise: "a.example:7001"},
	} {
		c.Insecure = true
		if err := c.Validate(); err != nil {
			t.Errorf("%q, %q: %v", c.Listen, c.Advertise, err)
		}
	}
}

// testTLS is material for a system, written to files and read back.
func testTLS(t *testing.T, authority *certtest.Authority, identity string, hosts ...string) *TLS {
	t.Helper()
	dir := t.TempDir()
	if err := authority.WriteFiles(dir, "a", identity, hosts...); err != nil {
		t.Fatal(err)
	}
	material, err := LoadTLS(filepath.Join(dir, "a.pem"), filepath.Join(dir, "a-key.pem"), filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return material
}

func newAuthority(t *testing.T) *certtest.Authority {
	t.Helper()
	authority, err := certtest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

func TestMaterialThatOthersWouldRefuseIsRefusedAtOnce(t *testing.T) {
	authority, other := newAuthority(t), newAuthority(t)
	good := testTLS(t, authority, "raft://c/a", "127.0.0.1")
	stranger := *good
	stranger.Authorities = x509.NewCertPool()
	stranger.Authorities.AppendCertsFromPEM(other.PEM())
	nobody := *good
	nobody.Authorities = nil
	base := Config{Listen: "127.0.0.1:0", TLS: good}
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"nothing in it":           {func(c *Config) { c.TLS = &TLS{Authorities: good.Authorities} }, "LoadTLS"},
		"no authorities":          {func(c *Config) { c.TLS = &nobody }, "Authorities is nil"},
		"another authority":       {func(c *Config) { c.TLS = &stranger }, "signed by"},
		"insecure as well":        {func(c *Config) { c.Insecure = true }, "choose one"},
		"another system":          {func(c *Config) { c.System = "b" }, `certificate is for "a"`},
		"another cluster":         {func(c *Config) { c.ClusterID = "d" }, `for cluster "c"`},
		"another host":            {func(c *Config) { c.Listen = "127.0.0.2:0" }, "does not cover"},
		"another host advertised": {func(c *Config) { c.Advertise = "a.example:70" }, "does not cover"},
		"a URI without a system":  {func(c *Config) { c.TLS = testTLS(t, authority, "raft://c", "127.0.0.1") }, "raft://CLUSTER/SYSTEM"},
		"a URI with a path":       {func(c *Config) { c.TLS = testTLS(t, authority, "raft://c/a/b", "127.0.0.1") }, "raft://CLUSTER/SYSTEM"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := base
			c.change(&cfg)
			if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
	if err := base.Validate(); err != nil {
		t.Fatal(err)
	}
	if c := base.withDefaults(); c.System != "a" || c.ClusterID != "c" {
		t.Errorf("from the certificate: %q of %q", c.System, c.ClusterID)
	}
}

func TestLoadTLSSaysWhichFileIsWrong(t *testing.T) {
	dir := t.TempDir()
	if err := newAuthority(t).WriteFiles(dir, "a", "", "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(in("empty"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, files := range [][4]string{
		{"none", "a-key.pem", "ca.pem", "none"},
		{"a.pem", "none", "ca.pem", "none"},
		{"a.pem", "a-key.pem", "none", "none"},
		{"a.pem", "a-key.pem", "empty", "empty"},
		{"a.pem", "empty", "ca.pem", "empty"},
	} {
		_, err := LoadTLS(in(files[0]), in(files[1]), in(files[2]))
		if err == nil || !strings.Contains(err.Error(), in(files[3])) {
			t.Errorf("%v: got %v", files, err)
		}
	}
}

func TestACertificateNamesOneSystemAtMost(t *testing.T) {
	two := &x509.Certificate{URIs: []*url.URL{mustParse(t, "raft://c/a"), mustParse(t, "raft://c/b")}}
	if _, err := identityIn(two); err == nil {
		t.Error("two systems are one")
	}
	other := &x509.Certificate{URIs: []*url.URL{mustParse(t, "spiffe://c/a")}}
	if id, err := identityIn(other); err != nil || id.system != "" || !id.verified {
		t.Errorf("got %+v, %v", id, err)
	}
	for text, ok := range map[string]bool{
		"raft://c/a": true, "raft:///a": true, "raft://c/": false, "raft:a": false, "raft://u@c/a": false, "raft://c/a?b": false,
		"raft://c/a#b": false, "raft://c/a/": false, "raft://c/" + strings.Repeat("a", 300): false,
	} {
		if _, _, err := parseIdentity(mustParse(t, text)); (err == nil) != ok {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

func mustParse(t *testing.T, text string) *url.URL {
	t.Helper()
	uri, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return uri
}

func TestAddressesThatNoMemberCanHaveAreRefused(t *testing.T) {
	r, err := New(Config{Listen: ourAddress, Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	checker, ok := r.Transport().(node.AddressChecker)
	if !ok {
		t.Fatal("the transport checks no addresses")
	}
	for _, address := range []string{"", "7001", "127.0.0.1", ":7001", "0.0.0.0:7001", "127.0.0.1:0", "unix:7001", "a b:7001"} {
		if err := checker.CheckAddress(address); err == nil || !strings.Contains(err.Error(), "10.0.0.7:7001") {
			t.Errorf("%q: got %v, want what one looks like", address, err)
		}
	}
	for _, address := range []string{"127.0.0.1:7001", "[::1]:7001", "db-7.example.com:7001"} {
		if err := checker.CheckAddress(address); err != nil {
			t.Error(err)
		}
	}
}

func TestALoggerIsNamedOnceForEachPart(t *testing.T) {
	var text bytes.Buffer
	var mu sync.Mutex // of text: others may be logging still
	logger := hclog.New(&hclog.LoggerOptions{Output: &text, Mutex: &mu})
	r, err := New(Config{Listen: ourAddress, Insecure: true, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Attach(quietSystem()); err != nil {
		t.Fatal(err)
	}
	r.running.Load().links.logger.Info("hear, hear")
	r.Stop(t.Context())
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(text.String(), " remote.link: hear, hear") {
		t.Errorf("it was logged as %s", text.String())
	}
}
