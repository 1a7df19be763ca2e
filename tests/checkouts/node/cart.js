// What is in a cart, and what it costs, in cents.
export class Cart {
  #lines = new Map();

  put(name, cents, count = 1) {
    if (!Number.isInteger(count) || count < 1) throw new RangeError(`${count} of ${name}`);
    const before = this.#lines.get(name)?.count ?? 0;
    this.#lines.set(name, { cents, count: before + count });
  }

  total() {
    return [...this.#lines.values()].reduce((sum, line) => sum + line.cents * line.count, 0);
  }
}
