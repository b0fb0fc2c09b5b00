using System.Runtime.InteropServices;

namespace Gradus.Training.Inference.Cpu;

/// <summary>Which pages each slot reads, and which tokens stand there. Whole pages are shared by all who begin alike; the last one, while it fills, is a slot's own.</summary>
internal sealed unsafe class SlotPages(PagePool pool)
{
    private readonly List<Slot> slots = [];

    public PageShape Shape => pool.Shape;

    /// <summary>A slot's pages, in order.</summary>
    public ReadOnlySpan<nint> Pages(int slot) => CollectionsMarshal.AsSpan(slots[slot].Addresses);

    /// <summary>The slot's tokens: computed, or to be computed by the next prefill.</summary>
    public IReadOnlyList<int> Tokens(int slot) => slots[slot].Tokens;

    /// <summary>Positions that stood in pages of others when the slot began.</summary>
    public int Cached(int slot) => slots[slot].Cached;

    /// <summary>Slots of a prefill are computed by rounds, 1 first: those of a later one read pages that an earlier one fills.</summary>
    public int Round(int slot) => slots[slot].Round;

    /// <summary>Gives an empty slot pages for its tokens, those of others where they hold the same. At least the last token is left to be computed.</summary>
    /// <param name="share">Whether pages of others are taken, and its own can be found.</param>
    /// <returns>False where there is no room; nothing has changed then.</returns>
    public bool TryBegin(int slot, ReadOnlySpan<int> tokens, bool share)
    {
        while (slots.Count <= slot) slots.Add(new());
        var own = slots[slot];
        var most = share ? (tokens.Length - 1) / PageShape.Positions : 0;
        while (own.Pages.Count < most && pool.Find(own.Last, Part(tokens, own.Pages.Count)) is { } found)
        {
            // Held at once, lest it is given away as room for the rest.
            pool.Hold(found);
            own.Add(found);
        }
        if (pool.Room < PageShape.Pages(tokens.Length) - own.Pages.Count)
        {
            Release(slot);
            return false;
        }
        own.Share = share;
        own.Cached = own.Pages.Count * PageShape.Positions;
        own.Round = 1 + own.Pages.Select(page => page.Round).DefaultIfEmpty(0).Max();
        own.Settled = own.Pages.Count;
        own.Tokens.AddRange(tokens);
        while (own.Pages.Count < PageShape.Pages(tokens.Length)) own.Add(pool.Take());
        // Others may begin with these pages from now on, and are computed after them.
        while (share && own.Settled < tokens.Length / PageShape.Positions && Enter(own) == own.Pages[own.Settled]) own.Pages[own.Settled++].Round = own.Round;
        return true;
    }

    /// <summary>Gives a slot room for one more position.</summary>
    /// <returns>False where there is none; nothing has changed then.</returns>
    public bool TryExtend(int slot)
    {
        var own = slots[slot];
        if (own.Pages.Count * PageShape.Positions > own.Tokens.Count) return true;
        if (pool.Room < 1) return false;
        own.Add(pool.Take());
        return true;
    }

    /// <summary>Appends a token, for which there must be room.</summary>
    public void Append(int slot, int token) => slots[slot].Tokens.Add(token);

    /// <summary>Says that all of a slot's tokens are computed: its whole pages can be found, or give way to equal ones.</summary>
    public void Settle(int slot)
    {
        var own = slots[slot];
        foreach (var page in own.Pages) page.Round = 0;
        for (; own.Share && own.Settled < own.Tokens.Count / PageShape.Positions; own.Settled++) Put(own, own.Settled, Enter(own));
    }

    /// <summary>Makes a slot hold the first positions of another, which is settled; it must have room for them. Whole pages are shared, the rest is copied.</summary>
    public void Copy(int from, int to, int positions)
    {
        var (source, own) = (slots[from], slots[to]);
        var whole = positions / PageShape.Positions;
        for (var i = 0; i < whole; i++) Put(own, i, source.Pages[i]);
        own.Settled = Math.Min(whole, source.Settled);
        if (positions % PageShape.Positions > 0) Buffer.MemoryCopy((void*)source.Addresses[whole], (void*)own.Addresses[whole], Shape.Bytes, Shape.Bytes);
    }

    /// <summary>Gives a slot's pages to another, which must be empty.</summary>
    public void Move(int from, int to) => (slots[from], slots[to]) = (slots[to], slots[from]);

    /// <summary>Empties a slot. Its whole pages stay to be found while their memory is not wanted.</summary>
    public void Release(int slot)
    {
        var own = slots[slot];
        for (var i = own.Pages.Count - 1; i >= 0; i--) pool.Drop(own.Pages[i]);
        own.Clear();
    }

    private CachePage Enter(Slot own) =>
        pool.Enter(own.Pages[own.Settled], own.Settled > 0 ? own.Pages[own.Settled - 1] : null, Part(CollectionsMarshal.AsSpan(own.Tokens), own.Settled));

    private void Put(Slot own, int at, CachePage page)
    {
        if (own.Pages[at] == page) return;
        pool.Hold(page);
        pool.Drop(own.Pages[at]);
        (own.Pages[at], own.Addresses[at]) = (page, page.Address);
    }

    private static ReadOnlySpan<int> Part(ReadOnlySpan<int> tokens, int page) => tokens.Slice(page * PageShape.Positions, PageShape.Positions);

    private sealed class Slot
    {
        public List<CachePage> Pages { get; } = [];

        public List<nint> Addresses { get; } = [];

        public List<int> Tokens { get; } = [];

        public bool Share { get; set; }

        /// <summary>How many of its pages, from the first on, can be found.</summary>
        public int Settled { get; set; }

        public int Cached { get; set; }

        public int Round { get; set; }

        public CachePage? Last => Pages.Count > 0 ? Pages[^1] : null;

        public void Add(CachePage page)
        {
            Pages.Add(page);
            Addresses.Add(page.Address);
        }

        public void Clear()
        {
            Pages.Clear();
            Addresses.Clear();
            Tokens.Clear();
            (Settled, Cached, Round) = (0, 0, 0);
        }
    }
}
