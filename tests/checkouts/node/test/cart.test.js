import assert from "node:assert/strict";
import { test } from "node:test";

import { Cart } from "../cart.js";

test("the total counts each line", () => {
  const cart = new Cart();
  cart.put("tea", 350, 2);
  cart.put("cup", 800);
  assert.equal(cart.total(), 1500);
});

test("nothing cannot be bought", () => {
  assert.throws(() => new Cart().put("tea", 100, 0), RangeError);
});
