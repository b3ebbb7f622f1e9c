package raftremote

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc/credentials"
)

// LoadTLS reads TLS material from PEM files: this system's certificate with the chain below it, its key, and the
// certificates of the authorities that are believed.
func LoadTLS(certificateFile, keyFile, authoritiesFile string) (*TLS, error) {
	certificate, err := tls.LoadX509KeyPair(certificateFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("raftremote: certificate %q with key %q: %w", certificateFile, keyFile, err)
	}
	text, err := os.ReadFile(authoritiesFile)
	if err != nil {
		return nil, fmt.Errorf("raftremote: authorities: %w", err)
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("raftremote: authorities %q: there is no certificate in PEM form in it", authoritiesFile)
	}
	return &TLS{Certificate: certificate, Authorities: authorities}, nil
}

// leaf is this system's own certificate.
func (t *TLS) leaf() (*x509.Certificate, error) {
	if t.Certificate.Leaf != nil {
		return t.Certificate.Leaf, nil
	}
	if len(t.Certificate.Certificate) == 0 || t.Certificate.PrivateKey == nil {
		return nil, errors.New("TLS.Certificate is empty, it needs a certificate and its key: LoadTLS reads them from files")
	}
	leaf, err := x509.ParseCertificate(t.Certificate.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("TLS.Certificate cannot be read: %w", err)
	}
	return leaf, nil
}

// identity is who this system is, as its certificate says. It is empty where the certificate is invalid.
func (t *TLS) identity() identity {
	leaf, err := t.leaf()
	if err != nil {
		return identity{}
	}
	id, _ := identityIn(leaf)
	return id
}

// validate says what others would refuse this system for.
func (t *TLS) validate(c Config) error {
	if t.Authorities == nil {
		return errors.New("TLS.Authorities is nil: without them nobody is believed")
	}
	leaf, err := t.leaf()
	if err != nil {
		return err
	}
	id, err := identityIn(leaf)
	if err != nil {
		return err
	}
	return errors.Join(t.validateUse(leaf), validateNames(leaf, id, c))
}

// validateUse checks that the certificate serves both ways, and that the authorities vouch for it.
func (t *TLS) validateUse(leaf *x509.Certificate) error {
	now := time.Now()
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return fmt.Errorf("TLS.Certificate is valid from %v to %v, and now it is %v",
			leaf.NotBefore.UTC(), leaf.NotAfter.UTC(), now.UTC().Truncate(time.Second))
	}
	between := x509.NewCertPool()
	for _, der := range t.Certificate.Certificate[1:] {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("the chain of TLS.Certificate cannot be read: %w", err)
		}
		between.AddCert(certificate)
	}
	for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		_, err := leaf.Verify(x509.VerifyOptions{
			Roots: t.Authorities, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{use},
		})
		if err != nil {
			return fmt.Errorf("the others would refuse TLS.Certificate, which must be signed by one of TLS.Authorities and serve "+
				"for servers and for clients: %w", err)
		}
	}
	return nil
}

// validateNames checks that the certificate fits the rest of the configuration.
func validateNames(leaf *x509.Certificate, id identity, c Config) error {
	var faults []error
	if id.system != "" && c.System != "" && c.System != id.system {
		faults = append(faults, faultf("System is %q and the certificate is for %q: leave System empty, or get another certificate",
			c.System, id.system))
	}
	if id.system != "" && c.ClusterID != "" && c.ClusterID != id.cluster {
		faults = append(faults, faultf("ClusterID is %q and the certificate is for cluster %q", c.ClusterID, id.cluster))
	}
	address := c.Advertise
	if address == "" {
		address = c.Listen
	}
	if host, _, err := splitAddress(address); err == nil && leaf.VerifyHostname(host) != nil {
		faults = append(faults, fmt.Errorf("the certificate does not cover the host of %q, under which others reach this system: %w",
			address, leaf.VerifyHostname(host)))
	}
	return errors.Join(faults...)
}

// credentials are those with which connections are made and taken: with TLS 1.3, both ends must have a certificate.
func (t *TLS) credentials() credentials.TransportCredentials {
	return credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{t.Certificate},
		RootCAs:      t.Authorities,
		ClientCAs:    t.Authorities,
		ClientAuth:   tls.RequireAndVerifyClientCert,
		MinVersion:   tls.VersionTLS13,
	})
}
