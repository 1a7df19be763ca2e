import { copyFileSync, mkdirSync } from "node:fs";

mkdirSync("dist", { recursive: true });
copyFileSync("cart.js", "dist/cart.js");
console.log("dist/cart.js");
