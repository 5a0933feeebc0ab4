import { expect, it } from "vitest";
import { fitCalibration } from "../src/teach/calibration";
import { fitVerbalizer } from "../src/teach/closedForm";
import { golden, noise } from "./golden";

it("fits the verbalizer and the calibration that Python fits", () => {
  const [n, width] = [30, 24];
  const labels = Array.from({ length: n }, (_, i) => (i % 15) % 3);
  const groups = Array.from({ length: n }, (_, i) => i % 15);
  const [base, lean] = [noise(n * width, 7), noise(width, 9)];
  const logits = labels.map((label, i) => Float64Array.from(lean, (value, v) => base[i * width + v] + label * value * 0.7));
  const fit = fitVerbalizer(logits, labels, groups, 3);
  const expected = golden.closed_form;
  expect(fit.crossEntropy).toBeCloseTo(expected.cross_entropy, 9);
  expect(Math.max(...expected.weight.map((value, i) => Math.abs(value - fit.weight[i])))).toBeLessThan(1e-6);
  expect(Math.max(...expected.held_out.map((value, i) => Math.abs(value - fit.heldOut.flat()[i])))).toBeLessThan(1e-6);
  const right = fit.heldOut.map((row, g) => row.indexOf(Math.max(...row)) === labels[g]);
  const found = fitCalibration(fit.heldOut, right, "held-out");
  expect(Object.keys(found).sort()).toEqual(Object.keys(expected.calibration).sort());
  for (const [fact, value] of Object.entries(expected.calibration)) {
    if (typeof value === "number") expect(found[fact]).toBeCloseTo(value, 5);
    else expect(found[fact]).toBe(value);
  }
});
