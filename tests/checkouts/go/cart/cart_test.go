package cart

import "testing"

func TestTheTotalCountsEachLine(t *testing.T) {
	cart := Cart{}
	for _, err := range []error{cart.Put("tea", 350, 2), cart.Put("cup", 800, 1)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if cart.Total() != 1500 {
		t.Fatalf("the total is %d", cart.Total())
	}
}

func TestNothingCannotBeBought(t *testing.T) {
	if (Cart{}).Put("tea", 100, 0) == nil {
		t.Fatal("it was bought")
	}
}
