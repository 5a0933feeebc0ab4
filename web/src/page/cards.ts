/** The labels of a lesson with their clips, and what becomes of them when another lesson comes. */
export interface Card {
  label: string;
  clips: Float32Array[];
}

/** What teaching is. */
export const STEPS = `
  <ol class="sp-steps"><li><b>Name two to ten labels:</b> words, sounds or speakers that the task shall tell apart.</li>
  <li><b>Record each a few times</b> on its card, or drop files there.</li>
  <li><b>Press Teach.</b> Some seconds later the task answers in Try and in Live. Nothing to record? Take the ready-made lesson.</li></ol>`;

/** Whether anything would be lost if these went. */
export const hasWork = (cards: Card[]) => cards.some((card) => card.clips.length || card.label.trim());

/** All labels of both with the clips of both; nothing of either is changed. */
export function together(own: Card[], others: Map<string, Float32Array[]>): Card[] {
  const all = own.filter((card) => hasWork([card])).map(({ label, clips }) => ({ label, clips: [...clips] }));
  for (const [label, clips] of others) {
    const same = all.find((card) => card.label.trim() === label.trim());
    if (same) same.clips.push(...clips);
    else all.push({ label, clips: [...clips] });
  }
  return all;
}

export const counted = (n: number, what: string) => `${n} ${what}${n === 1 ? "" : "s"}`;

/** "5 clips of 2 labels". */
export const told = (cards: Card[]) =>
  `${counted(cards.reduce((sum, card) => sum + card.clips.length, 0), "clip")} of ${counted(cards.length, "label")}`;
