/** Whatever a person can put right: one sentence that says what is wrong and what to do. */
export class Complaint extends Error {
  override name = "Complaint";
}
