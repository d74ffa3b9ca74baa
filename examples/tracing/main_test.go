package main

func Example() {
	main()
	// Output:
	// span HTTP POST 503
	// span HTTP POST no answer
	// span HTTP POST 200
	// resumed ana-0a1b
}
