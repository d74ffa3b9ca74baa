package datachanneltest

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"sync"
)

// KMS is a key of AWS KMS in memory, which client and agent share. Its zero value
// can be used.
type KMS struct {
	KeyID            string // what the agent tells the client
	RequireChallenge bool   // the agent refuses clients that do not put its challenge into the encryption context
	DenyGenerate     error  // what clients get in place of a data key
	DenyDecrypt      error  // what the agent gets in place of a data key
	OtherKey         bool   // the agent gets a data key that is not the client's

	mu   sync.Mutex
	keys map[string]dataKey
}

type dataKey struct {
	plaintext []byte
	context   map[string]string
}

// GenerateDataKey returns a data key of 64 bytes, for the client.
func (k *KMS) GenerateDataKey(_ context.Context, keyID string, encryptionContext map[string]string) (plaintext, ciphertext []byte, err error) {
	switch {
	case k.DenyGenerate != nil:
		return nil, nil, k.DenyGenerate
	case keyID != k.KeyID:
		return nil, nil, errors.New("NotFoundException: there is no key " + keyID)
	}
	plaintext, ciphertext = make([]byte, 64), make([]byte, 160)
	rand.Read(plaintext)
	rand.Read(ciphertext)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil {
		k.keys = map[string]dataKey{}
	}
	k.keys[string(ciphertext)] = dataKey{plaintext, maps.Clone(encryptionContext)}
	return plaintext, ciphertext, nil
}

// Decrypt returns the plaintext of a data key, for the agent: the encryption
// context must be the same.
func (k *KMS) Decrypt(ciphertext []byte, encryptionContext map[string]string) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, found := k.keys[string(ciphertext)]
	switch {
	case k.DenyDecrypt != nil:
		return nil, k.DenyDecrypt
	case !found, !maps.Equal(key.context, encryptionContext):
		return nil, errors.New("InvalidCiphertextException")
	case k.OtherKey:
		other := make([]byte, len(key.plaintext))
		rand.Read(other)
		return other, nil
	}
	return key.plaintext, nil
}
