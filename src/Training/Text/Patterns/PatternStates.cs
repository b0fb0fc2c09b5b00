namespace Gradus.Training.Text.Patterns;

/// <summary>
/// The states of a pattern's machine, made as texts ask for them: a state is the list of steps that may go on, the preferred first, so that what is
/// found is what an engine that backtracks finds. Code points that all sets of the pattern treat alike are one class. Tables only grow, under the lock;
/// whoever reads an older table finds 0 and asks.
/// </summary>
internal sealed class PatternStates
{
    /// <summary>The class of the end of the text. Class 0 is a code point not looked at yet.</summary>
    public const int EndClass = 255;

    /// <summary>The state in which nothing can match any more, and the one every match begins in.</summary>
    public const int Dead = 1, Start = 2;

    /// <summary>Published patterns need less than a hundred.</summary>
    private const int MostStates = 2000;

    private readonly Lock making = new();
    private readonly PatternProgram program;
    private readonly IReadOnlyList<CharacterSet> sets;
    private readonly string where;
    private readonly Dictionary<string, int> classOfSignature = new(StringComparer.Ordinal);
    private readonly List<string> signatures = [""]; // by class: for each set, '+' where it holds these code points
    private readonly Dictionary<string, int> stateOfThreads = new(StringComparer.Ordinal);
    private readonly List<int[]> threads = [];

    public PatternStates(PatternProgram program, IReadOnlyList<CharacterSet> sets, string where)
    {
        (this.program, this.sets, this.where) = (program, sets, where);
        threads.Add([]);
        stateOfThreads[""] = Dead;
        threads.Add([]);
        State([program.Start]);
    }

    /// <summary>By code point; 0 where it is not known yet, and for surrogates.</summary>
    public byte[] Classes { get; } = new byte[0x110000];

    /// <summary>By state * 256 + class: the next state * 2, and 1 where a match ends before this code point; 0 where it is not known yet.</summary>
    public int[] Table { get; private set; } = new int[8 * 256];

    public int ClassOf(int codePoint)
    {
        lock (making)
        {
            if (Classes[codePoint] is > 0 and var known) return known;
            var signature = string.Concat(sets.Select(set => set.Contains(codePoint) ? '+' : '-'));
            if (!classOfSignature.TryGetValue(signature, out var result))
            {
                result = signatures.Count;
                if (result == EndClass) throw TooLarge("classes of characters", EndClass - 1);
                signatures.Add(signature);
                classOfSignature[signature] = result;
            }

            Classes[codePoint] = (byte)result;
            return result;
        }
    }

    public int Transition(int state, int characterClass)
    {
        lock (making)
        {
            if (Table[(state << 8) | characterClass] is not 0 and var known) return known;
            var (next, matched) = Step(threads[state], characterClass);
            var entry = (State(next) << 1) | (matched ? 1 : 0);
            Table[(state << 8) | characterClass] = entry;
            return entry;
        }
    }

    // Follows each step to those that take a code point, in order of preference; a match ends the list, as what comes after it is preferred less.
    private (List<int> Next, bool Matched) Step(int[] from, int characterClass)
    {
        var signature = characterClass == EndClass ? null : signatures[characterClass];
        var seen = new bool[program.Count];
        var waiting = new Stack<int>();
        var next = new List<int>();
        foreach (var thread in from)
        {
            waiting.Push(thread);
            while (waiting.TryPop(out var at))
            {
                if (seen[at]) continue;
                seen[at] = true;
                var step = program[at];
                var holds = signature?[step.Set] == '+';
                switch (step.Kind)
                {
                    case PatternStep.Match: return (next, true);
                    case PatternStep.Take when holds && !next.Contains(step.First): next.Add(step.First); break;
                    case PatternStep.Ahead when holds: waiting.Push(step.First); break;
                    case PatternStep.NotAhead when !holds: waiting.Push(step.First); break;
                    case PatternStep.Fork:
                        waiting.Push(step.Second);
                        waiting.Push(step.First);
                        break;
                }
            }
        }

        return (next, false);
    }

    private int State(List<int> list)
    {
        var key = string.Join(' ', list);
        if (stateOfThreads.TryGetValue(key, out var state)) return state;
        state = threads.Count;
        if (state == MostStates) throw TooLarge("states", MostStates);
        threads.Add([.. list]);
        stateOfThreads[key] = state;
        if ((state + 1) * 256 > Table.Length)
        {
            var larger = new int[Table.Length * 2];
            Table.CopyTo(larger, 0);
            Table = larger;
        }

        return state;
    }

    private InvalidInputException TooLarge(string what, int limit) => new($"tokenizer.json: the pattern of {where} needs more than {limit} {what}.", where, "out_of_range");
}
