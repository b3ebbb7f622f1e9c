package certtest_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"

	"example.com/raftactor/remote/certtest"
)

func TestCertificatesAreWhatTheyWereIssuedFor(t *testing.T) {
	authority, err := certtest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	certificate, key, err := authority.Issue("raft://c/a", "127.0.0.1", "a.example")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.PEM())
	for _, host := range []string{"127.0.0.1", "a.example"} {
		for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			options := x509.VerifyOptions{Roots: roots, DNSName: host, KeyUsages: []x509.ExtKeyUsage{use}}
			if _, err := pair.Leaf.Verify(options); err != nil {
				t.Errorf("%s, %v: %v", host, use, err)
			}
		}
	}
	if uris := pair.Leaf.URIs; len(uris) != 1 || uris[0].String() != "raft://c/a" {
		t.Errorf("it names %v", uris)
	}
	if _, _, err := authority.Issue("::"); err == nil {
		t.Error("an identity that is no URI is taken")
	}
}
