import unittest
from decimal import Decimal

from shop.cart import Cart


class CartTest(unittest.TestCase):
    def test_the_total_counts_each_line(self):
        cart = Cart()
        cart.put("tea", Decimal("3.50"), 2)
        cart.put("cup", Decimal("8"))
        self.assertEqual(cart.total(), Decimal("15.00"))

    def test_nothing_cannot_be_bought(self):
        with self.assertRaises(ValueError):
            Cart().put("tea", Decimal("1"), 0)
