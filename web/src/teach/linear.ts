/** The little linear algebra that a lesson needs: symmetric eigenvectors (Jacobi) and solving, in doubles. */

/** Of a symmetric matrix [n][n]: values [n] and vectors, vectors[i][k] being component i of the k-th. */
export function eigen(symmetric: Float64Array[]): { values: Float64Array; vectors: Float64Array[] } {
  const n = symmetric.length;
  const a = symmetric.map((row) => row.slice());
  const v = a.map((_, i) => Float64Array.from({ length: n }, (_, j) => Number(i === j)));
  const size = Math.sqrt(a.reduce((sum, row) => sum + row.reduce((s, x) => s + x * x, 0), 0));
  for (let sweep = 0; sweep < 60; sweep++) {
    let off = 0;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) off += a[p][q] ** 2;
    if (Math.sqrt(off) <= 1e-14 * size) break;
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        if (a[p][q] === 0) continue;
        const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
        const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
        const c = 1 / Math.sqrt(t * t + 1);
        const s = t * c;
        for (let k = 0; k < n; k++) {
          const [x, y] = [a[k][p], a[k][q]];
          a[k][p] = c * x - s * y;
          a[k][q] = s * x + c * y;
        }
        for (let k = 0; k < n; k++) {
          const [x, y] = [a[p][k], a[q][k]];
          a[p][k] = c * x - s * y;
          a[q][k] = s * x + c * y;
          const [u, w] = [v[k][p], v[k][q]];
          v[k][p] = c * u - s * w;
          v[k][q] = s * u + c * w;
        }
      }
    }
  }
  return { values: Float64Array.from({ length: n }, (_, i) => a[i][i]), vectors: v };
}

/** x of A x = b, by elimination with pivots; A [n][n], b [n][m]. */
export function solve(A: Float64Array[], b: Float64Array[]): Float64Array[] {
  const n = A.length;
  const a = A.map((row) => row.slice());
  const x = b.map((row) => row.slice());
  for (let i = 0; i < n; i++) {
    let pivot = i;
    for (let r = i + 1; r < n; r++) if (Math.abs(a[r][i]) > Math.abs(a[pivot][i])) pivot = r;
    [a[i], a[pivot]] = [a[pivot], a[i]];
    [x[i], x[pivot]] = [x[pivot], x[i]];
    for (let r = 0; r < n; r++) {
      if (r === i) continue;
      const factor = a[r][i] / a[i][i];
      for (let c = i; c < n; c++) a[r][c] -= factor * a[i][c];
      for (let c = 0; c < x[r].length; c++) x[r][c] -= factor * x[i][c];
    }
  }
  return x.map((row, i) => row.map((value) => value / a[i][i]));
}
