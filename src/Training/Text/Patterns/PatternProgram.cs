namespace Gradus.Training.Text.Patterns;

internal enum PatternStep : byte
{
    /// <summary>Takes a code point of a set and goes on at First.</summary>
    Take,

    /// <summary>Goes on at First where the next code point is in the set; at the end it is in none.</summary>
    Ahead,

    NotAhead,

    /// <summary>Tries First, then Second.</summary>
    Fork,

    Match,
}

/// <summary>One step of a pattern; sets and steps by index.</summary>
internal readonly record struct PatternInstruction(PatternStep Kind, int Set, int First, int Second);

/// <summary>A pattern as a machine of steps (Thompson 1968): it can be at many of them at once, in an order of preference.</summary>
internal sealed class PatternProgram
{
    /// <summary>Bounds what repeats of repeats may grow to.</summary>
    private const int MostInstructions = 1000;

    private readonly List<PatternInstruction> steps = [new(PatternStep.Match, 0, 0, 0)];
    private readonly string where;
    private int visits; // repeats of what takes nothing add no steps, only time

    public PatternProgram(PatternNode root, string where)
    {
        this.where = where;
        Start = Compile(root, 0);
        var seen = new HashSet<int>();
        if (Reaches(Start)) throw new InvalidInputException($"tokenizer.json: the pattern of {where} matches the empty text, which is not supported.", where, "unknown_value");

        bool Reaches(int at)
        {
            if (!seen.Add(at)) return false;
            var step = steps[at];
            return step.Kind switch
            {
                PatternStep.Match => true,
                PatternStep.Take => false,
                PatternStep.Fork => Reaches(step.First) || Reaches(step.Second),
                _ => Reaches(step.First),
            };
        }
    }

    public int Start { get; }

    public PatternInstruction this[int step] => steps[step];

    public int Count => steps.Count;

    /// <summary>Adds the steps of a node that goes on at <paramref name="next"/>; where they begin.</summary>
    private int Compile(PatternNode node, int next)
    {
        if (++visits > 10 * MostInstructions) throw TooLarge();
        switch (node)
        {
            case PatternNode.One one: return Add(new(PatternStep.Take, one.Set, next, 0));
            case PatternNode.Ahead ahead: return Add(new(ahead.Negative ? PatternStep.NotAhead : PatternStep.Ahead, ahead.Set, next, 0));
            case PatternNode.Sequence sequence:
                for (var i = sequence.Parts.Count - 1; i >= 0; i--) next = Compile(sequence.Parts[i], next);
                return next;
            case PatternNode.Choice choice:
                var start = Compile(choice.Parts[^1], next);
                for (var i = choice.Parts.Count - 2; i >= 0; i--) start = Add(new(PatternStep.Fork, 0, Compile(choice.Parts[i], next), start));
                return start;
            case PatternNode.Repeat repeat: return Compile(repeat, next);
            default: throw new InvalidOperationException("An unknown node.");
        }
    }

    private int Compile(PatternNode.Repeat repeat, int next)
    {
        var start = next;
        if (repeat.Most is not { } most)
        {
            var fork = Add(default);
            steps[fork] = Fork(Compile(repeat.Part, fork), next, repeat.Lazy);
            start = fork;
        }
        else
        {
            for (var i = repeat.Least; i < most; i++)
            {
                var inner = Compile(repeat.Part, start);
                start = Add(Fork(inner, next, repeat.Lazy));
            }
        }

        for (var i = 0; i < repeat.Least; i++) start = Compile(repeat.Part, start);
        return start;
    }

    private static PatternInstruction Fork(int inside, int past, bool lazy) => lazy ? new(PatternStep.Fork, 0, past, inside) : new(PatternStep.Fork, 0, inside, past);

    private int Add(PatternInstruction step)
    {
        if (steps.Count == MostInstructions) throw TooLarge();
        steps.Add(step);
        return steps.Count - 1;
    }

    private InvalidInputException TooLarge() => new($"tokenizer.json: the pattern of {where} is larger than {MostInstructions} steps.", where, "out_of_range");
}
