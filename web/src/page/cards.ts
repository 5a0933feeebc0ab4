/** The labels of a lesson with their clips, and what becomes of them when another lesson comes. */
export interface Card {
  label: string;
  clips: Float32Array[];
}

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
