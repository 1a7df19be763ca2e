package shop;

public final class CartTest {
    public static void main(String[] words) {
        Cart cart = new Cart();
        cart.put("tea", 350, 2);
        cart.put("cup", 800, 1);
        assert cart.total() == 1500 : cart.total();
        try {
            cart.put("tea", 100, 0);
        } catch (IllegalArgumentException error) {
            System.out.println("2 tests passed");
            return;
        }
        throw new AssertionError("nothing was bought");
    }
}
