import { expect, it } from "vitest";
import { hasWork, together } from "../src/page/cards";

it("adds a lesson to another one and leaves both as they were", () => {
  const [a, b, c] = [1, 2, 3].map((n) => Float32Array.of(n));
  const own = [{ label: "on ", clips: [a] }, { label: "", clips: [] }];
  const all = together(own, new Map([["on", [b]], ["off", [c]]]));
  expect(all).toEqual([{ label: "on ", clips: [a, b] }, { label: "off", clips: [c] }]);
  expect(own).toEqual([{ label: "on ", clips: [a] }, { label: "", clips: [] }]);
  expect([hasWork(own), hasWork([own[1]])]).toEqual([true, false]);
});
