package datachannel

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

const (
	dataKeySize = 64 // bytes: 32 for the agent's direction, 32 for ours
	nonceSize   = 12
)

// dataKeys encrypt a session, with AES-256-GCM: a message's payload is a nonce
// and the sealed data.
type dataKeys struct {
	plaintext []byte // both keys, for State
	in, out   cipher.AEAD
}

func newDataKeys(plaintext []byte) (*dataKeys, error) {
	if len(plaintext) != dataKeySize {
		return nil, fmt.Errorf("a data key of %d bytes, not %d", len(plaintext), dataKeySize)
	}
	in, err := newAEAD(plaintext[:dataKeySize/2])
	if err != nil {
		return nil, err
	}
	out, err := newAEAD(plaintext[dataKeySize/2:])
	if err != nil {
		return nil, err
	}
	return &dataKeys{plaintext, in, out}, nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (k *dataKeys) encrypt(data []byte) []byte {
	b := make([]byte, nonceSize, nonceSize+len(data)+k.out.Overhead())
	rand.Read(b)
	return k.out.Seal(b, b, data, nil)
}

func (k *dataKeys) decrypt(payload []byte) ([]byte, error) {
	if len(payload) < nonceSize {
		return nil, errors.New("too short to be encrypted")
	}
	return k.in.Open(nil, payload[:nonceSize], payload[nonceSize:], nil)
}

// makeKeys asks AWS KMS for the session's keys.
func (s *Session) makeKeys(ctx context.Context, parameters []byte) (any, error) {
	var p wire.KMSParameters
	if err := json.Unmarshal(parameters, &p); err != nil {
		return nil, fmt.Errorf("the agent's KMS key: %w", err)
	}
	o := s.link.options
	switch {
	case o.DataKeys == nil:
		return nil, fmt.Errorf("the session must be encrypted with the KMS key %q: set Options.DataKeys", p.KMSKeyID)
	case o.TargetID == "":
		return nil, errors.New("the session must be encrypted with a KMS key: set Options.TargetID to the managed node's ID, which is part of the encryption context")
	}
	encryptionContext := map[string]string{
		"aws:ssm:SessionId": s.link.sessionID,
		"aws:ssm:TargetId":  o.TargetID,
	}
	if p.Challenge != "" {
		encryptionContext["aws:ssm:RandomChallenge"] = p.Challenge
	}
	plaintext, ciphertext, err := o.DataKeys.GenerateDataKey(ctx, p.KMSKeyID, encryptionContext)
	if err != nil {
		return nil, fmt.Errorf("make a data key with the KMS key %q: %w", p.KMSKeyID, err)
	}
	keys, err := newDataKeys(plaintext)
	if err != nil {
		return nil, err
	}
	s.link.mu.Lock()
	s.keys = keys
	s.link.mu.Unlock()
	return &wire.KMSResult{KMSCipherTextKey: ciphertext, ChallengeAcknowledgement: p.Challenge != ""}, nil
}

// answerChallenge shows the agent that both sides have the same keys.
func (s *Session) answerChallenge(payload []byte) error {
	var request wire.Challenge
	if err := json.Unmarshal(payload, &request); err != nil {
		return fmt.Errorf("the agent's encryption challenge: %w", err)
	}
	if s.keys == nil {
		return errors.New("the agent sent an encryption challenge for a session that is not encrypted")
	}
	clear, err := s.keys.decrypt(request.Challenge)
	if err != nil {
		return errors.New("the agent's encryption challenge was not made with the session's data key")
	}
	return s.respond(wire.EncChallengeResponse, wire.Challenge{Challenge: s.keys.encrypt(clear)})
}
