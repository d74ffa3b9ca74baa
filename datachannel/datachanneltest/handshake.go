package datachanneltest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ssmresume/ssmresume/datachannel/internal/wire"
)

func (a *agent) needsHandshake() bool {
	o := a.options
	return o.Dial != nil || o.Type == NonInteractiveCommands || o.KMS != nil
}

// handshake is done once. It sets the handler before the client learns that it
// may begin.
func (a *agent) handshake() (handler, error) {
	begin := time.Now()
	challenge := make([]byte, 16)
	rand.Read(challenge)
	a.output(wire.HandshakeRequest, a.handshakeRequest(base64.StdEncoding.EncodeToString(challenge)))
	response, err := wait(a, a.responses)
	if err != nil {
		return nil, fmt.Errorf("the handshake failed: %w", err)
	}
	a.mu.Lock()
	a.client = response.ClientVersion
	a.mu.Unlock()
	var result struct { // of ActionKMSEncryption
		KMSCipherTextKey         []byte
		ChallengeAcknowledgement bool
	}
	for _, action := range response.ProcessedClientActions {
		if action.ActionStatus != wire.ActionSuccess {
			return nil, fmt.Errorf("the handshake failed: the client says of %s: %s", action.ActionType, action.Error)
		}
		if action.ActionType == wire.ActionKMSEncryption {
			b, err := json.Marshal(action.ActionResult)
			if err == nil {
				err = json.Unmarshal(b, &result)
			}
			if err != nil {
				return nil, fmt.Errorf("the handshake failed: %w", err)
			}
		}
	}
	complete := wire.Complete{CustomerMessage: a.options.CustomerMessage}
	var keys *sessionKeys
	if kms := a.options.KMS; kms != nil {
		encryptionContext := map[string]string{"aws:ssm:SessionId": a.sessionID, "aws:ssm:TargetId": a.options.TargetID}
		if result.ChallengeAcknowledgement {
			encryptionContext["aws:ssm:RandomChallenge"] = base64.StdEncoding.EncodeToString(challenge)
		} else if kms.RequireChallenge {
			return nil, errors.New("the handshake failed: the client does not know the challenge of KMS")
		}
		plaintext, err := kms.Decrypt(result.KMSCipherTextKey, encryptionContext)
		if err != nil {
			return nil, fmt.Errorf("the handshake failed: %w", err)
		}
		if keys, err = newSessionKeys(plaintext); err != nil {
			return nil, fmt.Errorf("the handshake failed: %w", err)
		}
		if err := a.challenge(keys); err != nil {
			return nil, fmt.Errorf("the handshake failed: %w", err)
		}
		if complete.CustomerMessage == "" {
			complete.CustomerMessage = kmsGreeting
		}
	}
	h := a.newHandler()
	if !a.begin(h, keys) {
		return nil, errEnded
	}
	complete.HandshakeTimeToComplete = time.Since(begin)
	payload, _ := json.Marshal(complete)
	a.output(wire.HandshakeComplete, payload)
	return h, nil
}

func (a *agent) handshakeRequest(challenge string) []byte {
	properties := json.RawMessage("null")
	if a.options.Dial != nil {
		properties, _ = json.Marshal(a.options.Properties)
	}
	parameters, _ := json.Marshal(wire.SessionTypeParameters{SessionType: a.options.Type, Properties: properties})
	request := wire.Handshake{
		AgentVersion:           a.options.AgentVersion,
		RequestedClientActions: []wire.RequestedAction{{ActionType: wire.ActionSessionType, ActionParameters: parameters}},
	}
	if kms := a.options.KMS; kms != nil {
		parameters, _ := json.Marshal(wire.KMSParameters{KMSKeyID: kms.KeyID, Challenge: challenge})
		request.RequestedClientActions = append(request.RequestedClientActions, wire.RequestedAction{ActionType: wire.ActionKMSEncryption, ActionParameters: parameters})
	}
	payload, _ := json.Marshal(request)
	return payload
}

// challenge has the client decrypt something and encrypt it again.
func (a *agent) challenge(keys *sessionKeys) error {
	secret := make([]byte, 64)
	rand.Read(secret)
	payload, _ := json.Marshal(wire.Challenge{Challenge: keys.seal(secret)})
	a.output(wire.EncChallengeRequest, payload)
	response, err := wait(a, a.challenges)
	if err != nil {
		return err
	}
	answer, err := keys.open(response.Challenge)
	if err != nil || string(answer) != string(secret) {
		return errors.New("the client has another key")
	}
	return nil
}

func wait[T any](a *agent, from <-chan T) (v T, err error) {
	timer := time.NewTimer(handshakeLimit)
	defer timer.Stop()
	select {
	case v = <-from:
		return v, nil
	case <-timer.C:
		return v, fmt.Errorf("the client did not answer within %v", handshakeLimit)
	case <-a.ctx.Done():
		return v, errEnded
	}
}

// sessionKeys are the two keys of an encrypted session.
type sessionKeys struct {
	sending, receiving cipher.AEAD
	nonce              [12]byte // of what is sent next
}

func newSessionKeys(plaintext []byte) (*sessionKeys, error) {
	if len(plaintext) != 64 {
		return nil, fmt.Errorf("a data key of %d bytes, not 64", len(plaintext))
	}
	k := &sessionKeys{sending: newGCM(plaintext[:32]), receiving: newGCM(plaintext[32:])}
	rand.Read(k.nonce[:])
	return k, nil
}

func newGCM(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // 32 bytes are a key
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return gcm
}

// seal encrypts. The nonce is a counter with a random start, least significant
// byte first.
func (k *sessionKeys) seal(plaintext []byte) []byte {
	sealed := k.sending.Seal(append([]byte(nil), k.nonce[:]...), k.nonce[:], plaintext, nil)
	for i := range k.nonce {
		if k.nonce[i]++; k.nonce[i] != 0 {
			break
		}
	}
	return sealed
}

func (k *sessionKeys) open(sealed []byte) ([]byte, error) {
	n := k.receiving.NonceSize()
	if len(sealed) < n {
		return nil, errors.New("it is too short to be encrypted")
	}
	return k.receiving.Open(nil, sealed[:n], sealed[n:], nil)
}
