package shop;

import java.util.Map;
import java.util.TreeMap;

/** What is in a cart, and what it costs, in cents. */
public final class Cart {
    private record Line(int cents, int count) {}

    private final Map<String, Line> lines = new TreeMap<>();

    public void put(String name, int cents, int count) {
        if (count < 1) {
            throw new IllegalArgumentException(count + " of " + name);
        }
        lines.merge(name, new Line(cents, count), (a, b) -> new Line(cents, a.count() + b.count()));
    }

    public int total() {
        return lines.values().stream().mapToInt(line -> line.cents() * line.count()).sum();
    }
}
