namespace Gradus.Training.Inference;

/// <summary>
/// Who has a slot and who waits, first come first served. Running sequences always stand in the slots 0 .. n-1: when one leaves, the last
/// moves into its place. It does not know the decoder; <see cref="Engine"/> carries out what it says.
/// </summary>
/// <param name="capacity">How many sequences run at once.</param>
internal sealed class Scheduler(int capacity)
{
    private readonly List<Sequence> running = [];
    private readonly LinkedList<Sequence> waiting = [];

    public IReadOnlyList<Sequence> Running => running;

    public int Waiting => waiting.Count;

    public void Enqueue(Sequence sequence) => waiting.AddLast(sequence);

    /// <summary>Gives free slots to those who wait, in order; they run from now on.</summary>
    public IReadOnlyList<Sequence> Admit()
    {
        var admitted = new List<Sequence>();
        while (running.Count < capacity && waiting.First is { } first)
        {
            waiting.RemoveFirst();
            first.Value.Slot = running.Count;
            running.Add(first.Value);
            admitted.Add(first.Value);
        }
        return admitted;
    }

    /// <summary>Takes a sequence out, running or waiting. Returns the slot that must move into its place, or null.</summary>
    public (int From, int To)? Remove(Sequence sequence)
    {
        if (sequence.Slot < 0)
        {
            waiting.Remove(sequence);
            return null;
        }
        var (slot, last) = (sequence.Slot, running.Count - 1);
        sequence.Slot = -1;
        sequence.PromptLogits = null;
        if (slot != last)
        {
            running[slot] = running[last];
            running[slot].Slot = slot;
        }
        running.RemoveAt(last);
        return slot == last ? null : (last, slot);
    }
}
