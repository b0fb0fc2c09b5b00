namespace Gradus.Training;

/// <summary>Input that is wrong: the message says what was wrong, what is allowed and what came. Over HTTP it is a 400 with these fields.</summary>
/// <param name="parameter">Where, as a path: <c>stages[1].options.num_generations</c>. Null where there is no one place.</param>
/// <param name="code">A word for programs: <c>out_of_range</c>, <c>unknown_field</c>, <c>unknown_value</c>, <c>missing</c>, <c>invalid_reference</c>, <c>invalid_value</c>.</param>
public sealed class InvalidInputException(string message, string? parameter = null, string code = "invalid_value") : Exception(message)
{
    public string? Parameter { get; } = parameter;

    public string Code { get; } = code;
}
