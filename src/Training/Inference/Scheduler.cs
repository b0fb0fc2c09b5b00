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
    private long came;

    public IReadOnlyList<Sequence> Running => running;

    public int Waiting => waiting.Count;

    /// <summary>The running one that came last.</summary>
    public Sequence Newest => running.MaxBy(sequence => sequence.Order)!;

    /// <summary>Whose turn it is; null where nobody waits or there is no slot for it.</summary>
    public Sequence? Next => running.Count < capacity ? waiting.First?.Value : null;

    public void Enqueue(Sequence sequence)
    {
        sequence.Order = came++;
        waiting.AddLast(sequence);
    }

    /// <summary><see cref="Next"/> runs from now on, in the next slot.</summary>
    public void Start()
    {
        var sequence = waiting.First!.Value;
        waiting.RemoveFirst();
        sequence.Slot = running.Count;
        running.Add(sequence);
    }

    /// <summary>Takes a sequence out, running or waiting. Returns the slot that must move into its place, or null.</summary>
    public (int From, int To)? Remove(Sequence sequence)
    {
        if (sequence.Slot >= 0) return Leave(sequence);
        waiting.Remove(sequence);
        return null;
    }

    /// <summary>Lets <see cref="Newest"/> wait again, before all who wait: they came later. Returns as <see cref="Remove"/> does.</summary>
    public (int From, int To)? PutBack(Sequence newest)
    {
        var move = Leave(newest);
        waiting.AddFirst(newest);
        return move;
    }

    private (int From, int To)? Leave(Sequence sequence)
    {
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
