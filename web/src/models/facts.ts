/** What model.json says of the exported models (making/export/onnx_folder.py). */
export interface ModelFacts {
  format_version: number;
  backbone: string;
  title: string;
  unit_lm_sha256: string;
  n_units: number;
  layers: number;
  heads: number;
  width: number;
  parameters: number;
  languages: Record<string, string>;
  files: Record<string, { bytes: number; sha256: string }>;
  prompts: Record<string, string[]>;
}

// The vocabulary of every unit LM: four specials, then the units.
export const SEPARATOR = 0;
export const PAD = 1;
export const EOS = 2;
export const OFFSET = 4;
